"""MNIST and FashionMNIST: the four idx files, gzipped or not."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kpe_core.data.files import find, unreadable
from kpe_core.data.source import HELD_OUT, TRAIN, DataSet, Source
from kpe_core.study.specs import DataSpec

STEMS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
UNSIGNED_BYTE = 0x08
"""The third byte of an idx file: the type of its values."""

CLASSES: dict[str, tuple[str, ...]] = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
}  # fmt: skip
ORIGIN = {
    "mnist": "the MNIST page (yann.lecun.com/exdb/mnist)",
    "fashion_mnist": "Zalando Research's repository (github.com/zalandoresearch/fashion-mnist)",
}


def index(spec: DataSpec) -> list[Path]:
    return [
        find(spec, [f"{below}{s}{zipped}" for below in ("", "raw/") for s in _spellings(stem) for zipped in ("", ".gz")],
             stem, ORIGIN[spec.name])
        for stem in STEMS
    ]  # fmt: skip


def _spellings(stem: str) -> tuple[str, str]:
    return stem, stem.replace("-idx", ".idx")


def open_(spec: DataSpec) -> Source:
    """All of it as bytes in memory (55 MB).

    Raises
    ------
    UserError
        for a missing or truncated file, another type or shape, numbers of images and labels that differ, and labels
        out of range.
    """
    names = CLASSES[spec.name]
    paths = index(spec)
    images, labels = [], []
    for picture, label in (paths[:2], paths[2:]):
        images.append(read_idx(picture, 3))
        labels.append(read_idx(label, 1).astype(np.int64))
        if len(images[-1]) != len(labels[-1]):
            raise unreadable(label, f"holds {len(labels[-1])} labels, and {picture.name} {len(images[-1])} images")
        if (highest := labels[-1].max(initial=0)) >= len(names):
            raise unreadable(label, f"label {highest} is out of range: there are {len(names)} classes")
    if images[0].shape[1:] != images[1].shape[1:]:
        raise unreadable(
            paths[2], f"images of {images[1].shape[1:]} pixels, and {images[0].shape[1:]} in {paths[0].name}"
        )
    part = np.repeat(np.array([TRAIN, HELD_OUT], dtype=np.int8), [len(y) for y in labels])
    x = np.concatenate(images)
    return Source(
        "image", x.shape[1:], np.concatenate(labels), names, lambda rows: x[rows].astype(np.float32), (0.0, 255.0), part
    )


def read_idx(path: Path, dims: int) -> NDArray[np.uint8]:
    """An idx file's array: two zero bytes, the type, the number of dimensions, each dimension (big-endian), the values.

    Raises
    ------
    UserError
        when it is none of unsigned bytes in ``dims`` dimensions, or not whole.
    """
    data = path.read_bytes()
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise unreadable(path, f"not a whole gzip file ({error})") from None
    head = 4 + 4 * dims
    if len(data) < head or data[:2] != b"\0\0" or data[3] != dims:
        raise unreadable(path, f"not an idx file of {dims} dimensions")
    if data[2] != UNSIGNED_BYTE:
        raise unreadable(path, f"an idx file of type 0x{data[2]:02x}; unsigned bytes (0x08) are wanted")
    shape = tuple(int(n) for n in np.frombuffer(data[4:head], dtype=">u4"))
    if len(data) - head != math.prod(shape):
        raise unreadable(path, f"says shape {shape} and holds {len(data) - head} values: not whole")
    return np.frombuffer(data, dtype=np.uint8, offset=head).reshape(shape)


IDX: dict[str, DataSet] = {
    name: DataSet(open=open_, index=index, layout=", ".join(STEMS) + "; each also as .gz", origin=ORIGIN[name])
    for name in CLASSES
}
