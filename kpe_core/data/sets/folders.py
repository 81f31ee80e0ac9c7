"""Pictures in folders that are their classes: ImageNet, and any folder."""

import functools
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kpe_core.data.class_names import BESIDE, file_of, names_for
from kpe_core.data.files import find, missing, root_of, unreadable
from kpe_core.data.pictures import (
    SUFFIXES,
    as_it_is,
    halved_then_bicubic,
    mode_of,
    read_pictures,
    shorter_side,
)
from kpe_core.data.source import HELD_OUT, TRAIN, DataSet, Source
from kpe_core.errors import UserError
from kpe_core.study.specs import DataSpec

IMAGENET_ORIGIN = "image-net.org (ILSVRC 2012, after registration)"
IMAGENET_LAYOUT = (
    f"train/n01440764/*.JPEG … and val/n01440764/*.JPEG …, one folder a class; {' or '.join(BESIDE)} for the "
    "classes' names"
)
FOLDER_ORIGIN = "you: any pictures"


# -- ImageNet ----------------------------------------------------------------------------------------------------------


def imagenet_index(spec: DataSpec) -> list[Path]:
    """The class folders, and the file of names where there is one."""
    parts = [find(spec, [part], f"the folder {part}", IMAGENET_ORIGIN) for part in _parts(spec)]
    return [folder for part in parts for folder in _class_folders(part)] + file_of(spec)


def _parts(spec: DataSpec) -> tuple[str, ...]:
    """Their folders; a random split can do without val."""
    without = spec.split == "random" and not os.path.exists(root_of(spec) / "val")
    return ("train",) if without else ("train", "val")


def imagenet_open(spec: DataSpec) -> Source:
    """The list of pictures, both parts; they are decoded as they are read. Classes are numbered in their folders' order.

    Raises
    ------
    UserError
        for missing or empty folders, and validation classes that training lacks.
    """
    imagenet_index(spec)
    train, *rest = (_class_folders(root_of(spec) / part) for part in _parts(spec))
    val = rest[0] if rest else []
    synsets = [folder.name for folder in train]
    if strange := sorted({folder.name for folder in val} - set(synsets)):
        raise UserError(f"{root_of(spec) / 'val'}: class {strange[0]} is not among those of train")
    listing = _Listing([*train, *val], [*range(len(train)), *(synsets.index(folder.name) for folder in val)])
    size = spec.size or 256
    part = np.where(listing.folder_of < len(train), TRAIN, HELD_OUT).astype(np.int8)
    fit = functools.partial(halved_then_bicubic, size=size)
    shape = (3, size, size) if spec.colour else (size, size)
    names = names_for(spec, synsets)
    if names is not None and len(names) != len(synsets):
        raise unreadable(
            file_of(spec)[0],
            f"{len(names)} names without synsets, and {len(synsets)} class folders",
            "name each in order",
        )
    return listing.source(shape, names or tuple(synsets), bool(spec.colour), fit, part)


# -- any folder --------------------------------------------------------------------------------------------------------


def folder_index(spec: DataSpec) -> list[Path]:
    """The root and its class folders."""
    root = root_of(spec)
    if not os.path.isdir(root):
        raise missing(spec, "the folder of pictures", [root], FOLDER_ORIGIN)
    return [root, *_subfolders(root)]


def folder_open(spec: DataSpec) -> Source:
    """The list of pictures, in the order of their names; one class where there are no subfolders.

    Raises
    ------
    UserError
        for an empty folder, pictures beside class folders, and pictures of different sizes without ``size``.
    """
    root, *folders = folder_index(spec)
    loose = _pictures(root)
    if folders and loose:
        raise UserError(f"{root} holds both pictures ({loose[0]} …) and class folders ({folders[0].name} …); part them")
    if not folders and not loose:
        raise UserError(
            f"{root} holds no pictures; put some there ({', '.join(sorted(SUFFIXES))}), or in class folders"
        )
    classes = folders or [root]
    listing = _Listing(classes, range(len(classes)))
    colour = spec.colour if spec.colour is not None else mode_of(listing.file_of(0))
    fit = as_it_is
    if spec.size is not None:
        fit = functools.partial(shorter_side, size=spec.size, crop=spec.crop)
    elif spec.crop is not None:
        fit = functools.partial(shorter_side, size=spec.crop, crop=spec.crop)
    shape = read_pictures([listing.file_of(0)], colour, fit).shape[1:]
    return listing.source(shape, tuple(f.name for f in folders) or ("all",), colour, fit, None)


# -- shared ------------------------------------------------------------------------------------------------------------


class _Listing:
    """The pictures of some folders, by number."""

    def __init__(self, folders: list[Path], labels: "list[int] | range") -> None:
        self.folders = folders
        names = [_pictures(folder) for folder in folders]
        for folder, found in zip(folders, names, strict=True):
            if not found:
                raise UserError(f"{folder} is an empty class: it holds no pictures ({', '.join(sorted(SUFFIXES))})")
        self.names = [name for found in names for name in found]
        self.folder_of = np.repeat(np.arange(len(folders)), [len(found) for found in names])
        self.labels = np.asarray(labels, dtype=np.int64)[self.folder_of]

    def file_of(self, i: int) -> Path:
        return self.folders[self.folder_of[i]] / self.names[i]

    def source(
        self, shape: tuple[int, ...], classes: tuple[str, ...], colour: bool, fit: object, part: NDArray[np.int8] | None
    ) -> Source:
        def read(rows: NDArray[np.intp]) -> NDArray[np.float32]:
            pictures = read_pictures([self.file_of(i) for i in rows], colour, fit)  # type: ignore[arg-type]
            if pictures.shape[1:] != shape:
                raise UserError(
                    f"{self.file_of(rows[0])} has shape {pictures.shape[1:]} and the first picture {shape}; "
                    "set data.size to make all alike"
                )
            return pictures

        return Source("image", shape, self.labels, classes, read, (0.0, 255.0), part, self.file_of)


def _class_folders(root: Path) -> list[Path]:
    if not (folders := _subfolders(root)):
        raise UserError(f"{root} holds no class folders; one folder a class is expected there")
    return folders


def _subfolders(root: Path) -> list[Path]:
    try:
        with os.scandir(root) as entries:
            return sorted(Path(e.path) for e in entries if e.is_dir() and not e.name.startswith("."))
    except OSError as error:
        raise unreadable(root, f"cannot be listed ({error.strerror})", "make it readable") from None


def _pictures(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if not e.name.startswith(".") and _suffix(e.name) in SUFFIXES)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


FOLDERS: dict[str, DataSet] = {
    "imagenet": DataSet(open=imagenet_open, index=imagenet_index, layout=IMAGENET_LAYOUT, origin=IMAGENET_ORIGIN),
    "image_folder": DataSet(
        open=folder_open,
        index=folder_index,
        layout="pictures, or one folder of pictures a class; data.root names it",
        origin=FOLDER_ORIGIN,
    ),
}
