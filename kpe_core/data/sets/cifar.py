"""CIFAR-10 and CIFAR-100, python version: pickled batches in a folder or in the tarball as it is published."""

import functools
import hashlib
import os
import pickle
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpe_core.data.files import find, root_of, unreadable
from kpe_core.data.pictures import LUMA
from kpe_core.data.sets.unpickle import unpickle
from kpe_core.data.source import HELD_OUT, TRAIN, DataSet, Source
from kpe_core.study.specs import DataSpec

SIDE = 32


@dataclass(frozen=True)
class Edition:
    """One of the two sets as published: names, and MD5 checksums of its files."""

    folder: str
    tarball: str
    train: dict[str, str]
    test: dict[str, str]
    meta: dict[str, str]
    labels_key: bytes
    names_key: bytes

    @property
    def checksums(self) -> dict[str, str]:
        return self.train | self.test | self.meta


CIFAR10 = Edition(
    folder="cifar-10-batches-py",
    tarball="cifar-10-python.tar.gz",
    train={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    test={"test_batch": "40351d587109b95175f43aff81a1287e"},
    meta={"batches.meta": "5ff9c542aee3614f3951f8cda6e48888"},
    labels_key=b"labels",
    names_key=b"label_names",
)
CIFAR100 = Edition(
    folder="cifar-100-python",
    tarball="cifar-100-python.tar.gz",
    train={"train": "16019d7e3df5f24257cddd939b257f8d"},
    test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    meta={"meta": "7973b15100ade9c7d40fb424638fde48"},
    labels_key=b"fine_labels",
    names_key=b"fine_label_names",
)


def index(edition: Edition, spec: DataSpec) -> list[Path]:
    """The tarball, or the batches of the folder."""
    if os.path.isfile(root_of(spec)):
        return [root_of(spec)]
    first = next(iter(edition.train))
    candidates = (f"{edition.folder}/{first}", first, edition.tarball)
    found = find(spec, candidates, f"{edition.folder} (or {edition.tarball})", _origin(edition))
    if found.name == edition.tarball:
        return [found]
    folder = found.parent.relative_to(root_of(spec))
    return [find(spec, [str(folder / name)], name, _origin(edition)) for name in edition.checksums]


def open_(edition: Edition, spec: DataSpec) -> Source:
    """All of it as bytes in memory (184 MB): the batches are no larger, and a tarball can only be read through.

    Raises
    ------
    UserError
        for a missing file, a wrong checksum, a pickle that wants code run, arrays of another shape or type, and labels
        out of range.
    """
    pixels: dict[str, NDArray[np.uint8]] = {}
    labels: dict[str, NDArray[np.int64]] = {}
    names: tuple[str, ...] = ()
    paths = index(edition, spec)
    for path, name, data in _members(edition, paths):
        content = _content(edition, path, name, data)
        if name in edition.meta:
            names = _names(edition, path, content)
        else:
            pixels[name], labels[name] = _batch(edition, path, content)
    there = {*pixels, *(edition.meta if names else ())}
    if absent := [name for name in edition.checksums if name not in there]:
        raise unreadable(paths[0], f"it lacks {', '.join(absent)}")
    order = [*edition.train, *edition.test]
    x = np.concatenate([pixels[name] for name in order])
    y = np.concatenate([labels[name] for name in order])
    if y.max() >= len(names):
        raise unreadable(paths[0], f"label {y.max()} is out of range: there are {len(names)} classes")
    n_test = sum(len(labels[name]) for name in edition.test)
    part = np.full(len(y), TRAIN, dtype=np.int8)
    part[len(y) - n_test :] = HELD_OUT

    def read(rows: NDArray[np.intp]) -> NDArray[np.float32]:
        picture = x[rows].astype(np.float32)
        return picture if spec.colour else np.tensordot(picture, LUMA, axes=(1, 0))

    shape = (3, SIDE, SIDE) if spec.colour else (SIDE, SIDE)
    return Source("image", shape, y, names, read, (0.0, 255.0), part)


def _members(edition: Edition, paths: list[Path]) -> Iterable[tuple[Path, str, bytes]]:
    """(the file on disk, the batch's name, its bytes), one at a time."""
    if len(paths) > 1:
        yield from ((path, path.name, path.read_bytes()) for path in paths)
        return
    try:
        with tarfile.open(paths[0], "r|*") as tar:
            for member in tar:
                name = Path(member.name).name
                if member.isfile() and name in edition.checksums:
                    stream = tar.extractfile(member)
                    assert stream is not None
                    yield paths[0], name, stream.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise unreadable(paths[0], f"not a whole tarball ({error})") from None


def _content(edition: Edition, path: Path, name: str, data: bytes) -> dict[bytes, Any]:
    where = f"{name}: " if path.name != name else ""
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != edition.checksums[name]:
        raise unreadable(
            path, f"{where}its MD5 is {found}, the published one {edition.checksums[name]}: not the whole file"
        )
    try:
        content = unpickle(data)
    except pickle.UnpicklingError as error:
        raise unreadable(path, f"{where}refused: {error}. Nothing of it was run") from None
    if not isinstance(content, dict):
        raise unreadable(path, f"{where}holds a {type(content).__name__}, not a dictionary")
    return content


def _batch(edition: Edition, path: Path, content: dict[bytes, Any]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    data, labels = content.get(b"data"), content.get(edition.labels_key)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3 * SIDE**2:
        found = f"{data.dtype} of shape {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
        raise unreadable(path, f"data should be uint8 of shape (N, {3 * SIDE**2}), and is {found}")
    if not isinstance(labels, list) or len(labels) != len(data) or not all(type(y) is int and y >= 0 for y in labels):
        raise unreadable(path, f"{edition.labels_key.decode()} should be {len(data)} class numbers")
    return data.reshape(-1, 3, SIDE, SIDE), np.array(labels, dtype=np.int64)


def _names(edition: Edition, path: Path, content: dict[bytes, Any]) -> tuple[str, ...]:
    names = content.get(edition.names_key)
    if not isinstance(names, list) or not all(isinstance(n, bytes) and n.isascii() for n in names):
        raise unreadable(path, f"{edition.names_key.decode()} should be a list of class names")
    return tuple(n.decode("ascii") for n in names)


def _origin(edition: Edition) -> str:
    return f"the CIFAR page of the University of Toronto (cs.toronto.edu/~kriz/cifar.html), as {edition.tarball}"


def cifar_set(edition: Edition) -> DataSet:
    """An edition as the registry takes it."""
    return DataSet(
        open=functools.partial(open_, edition),
        index=functools.partial(index, edition),
        layout=f"{edition.tarball}, or the folder {edition.folder} unpacked from it",
        origin=_origin(edition),
    )


CIFAR: dict[str, DataSet] = {"cifar10": cifar_set(CIFAR10), "cifar100": cifar_set(CIFAR100)}
