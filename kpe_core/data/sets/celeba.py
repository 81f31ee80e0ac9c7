"""CelebA: aligned pictures in a folder, the partition file, and labels by identity or attribute where they are wanted."""

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kpe_core.data.files import find, unreadable
from kpe_core.data.pictures import read_pictures, shorter_side
from kpe_core.data.source import HELD_OUT, TRAIN, UNUSED, DataSet, Source
from kpe_core.errors import UserError
from kpe_core.study.specs import DataSpec

PICTURES, PARTITION = "img_align_celeba", "list_eval_partition.txt"
IDENTITY, ATTRIBUTES = "identity_CelebA.txt", "list_attr_celeba.txt"
ORIGIN = "the CelebA page of the Multimedia Lab, CUHK (mmlab.ie.cuhk.edu.hk/projects/CelebA.html)"
PARTS = np.array([TRAIN, UNUSED, HELD_OUT], dtype=np.int8)
"""What the partition file's 0 (train), 1 (validation) and 2 (test) become."""


def index(spec: DataSpec) -> list[Path]:
    """The partition file, and the file of labels; the pictures' folder must be there too."""
    _pictures(spec)
    files = [find(spec, (PARTITION, f"Eval/{PARTITION}"), PARTITION, ORIGIN)]
    if spec.labels is not None:
        name = IDENTITY if spec.labels == "identity" else ATTRIBUTES
        files.append(find(spec, (name, f"Anno/{name}"), name, ORIGIN))
    return files


def open_(spec: DataSpec) -> Source:
    """The list of pictures; they are decoded as they are read.

    Raises
    ------
    UserError
        for missing files, a malformed list, and an attribute there is not.
    """
    partition, *labelled = index(spec)
    names, value = _two_columns(partition)
    if not len(names):
        raise unreadable(partition, "it lists no pictures")
    if value.min() < 0 or value.max() > 2:
        raise unreadable(
            partition, f"a part is {value.max() if value.max() > 2 else value.min()}; parts are 0, 1 and 2"
        )
    if not labelled:
        labels = np.zeros(len(names), dtype=np.int64)
        classes: tuple[str, ...] = ("face",)
    elif spec.labels == "identity":
        listed, identity = _two_columns(labelled[0])
        _require_same(labelled[0], names, listed)
        found, labels = np.unique(identity, return_inverse=True)
        classes = tuple(str(i) for i in found)
    else:
        labels, classes = _attribute(labelled[0], names, str(spec.labels))
    size = spec.size or 32
    shape = (3, size, size) if spec.colour else (size, size)
    folder = _pictures(spec)
    fit = functools.partial(shorter_side, size=size, crop=spec.crop)

    def file_of(i: int) -> Path:
        return folder / names[i].decode(errors="replace")

    def read(rows: NDArray[np.intp]) -> NDArray[np.float32]:
        return read_pictures([file_of(i) for i in rows], bool(spec.colour), fit)

    return Source("image", shape, labels, classes, read, (0.0, 255.0), PARTS[value], file_of)


def _pictures(spec: DataSpec) -> Path:
    return find(spec, (PICTURES, f"Img/{PICTURES}"), f"the folder {PICTURES}", ORIGIN)


def _two_columns(path: Path) -> tuple[NDArray[np.bytes_], NDArray[np.int64]]:
    """A list of "000001.jpg 7" lines: names (N,) and numbers (N,)."""
    words = path.read_bytes().split()
    try:
        if len(words) % 2:
            raise ValueError(f"an odd number of words, {len(words)}")
        return np.array(words[0::2]), np.array(words[1::2], dtype=np.int64)
    except ValueError as error:
        raise unreadable(path, f"should hold a picture's name and a number on each line ({error})") from None


def _attribute(path: Path, names: NDArray[np.bytes_], wanted: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """One column of the attribute file: a count, a line of names, then "000001.jpg -1 1 …" lines."""
    with path.open("rb") as lines:
        next(lines, b"")
        known = next(lines, b"").decode(errors="replace").split()
        if wanted not in known:
            raise UserError(
                f"data.labels = {wanted!r} is no attribute in {path}; there are identity, {', '.join(known)}"
            )
        column = known.index(wanted) + 1
        rows = [line.split() for line in lines if line.strip()]
    if short := next((i for i, row in enumerate(rows) if len(row) != len(known) + 1), None):
        raise unreadable(path, f"line {short + 3} has {len(rows[short])} words, not {len(known) + 1}")
    _require_same(path, names, np.array([row[0] for row in rows]))
    return np.array([row[column] == b"1" for row in rows], dtype=np.int64), (f"not {wanted}", wanted)


def _require_same(path: Path, names: NDArray[np.bytes_], listed: NDArray[np.bytes_]) -> None:
    if len(listed) != len(names) or not np.array_equal(listed, names):
        raise unreadable(path, f"its {len(listed)} pictures are not the {len(names)} of {PARTITION} in the same order")


CELEBA: dict[str, DataSet] = {
    "celeba": DataSet(
        open=open_,
        index=index,
        layout=f"{PICTURES}/000001.jpg …, {PARTITION}; for labels {IDENTITY} or {ATTRIBUTES} "
        "(also below Img/, Eval/ and Anno/, as published)",
        origin=ORIGIN,
    )
}
