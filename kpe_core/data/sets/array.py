"""Any array: .npy, .npz or .zarr, of points (N, D), grey pictures (N, H, W), colour pictures or latents (N, C, H, W)."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpe_core.data.class_names import file_of, names_for
from kpe_core.data.files import missing, root_of, unreadable
from kpe_core.data.source import DataSet, Source
from kpe_core.errors import UserError, shown
from kpe_core.study.specs import DataSpec

X, Y = "x", "y"
"""What points and labels are called inside an archive of several arrays."""
ORIGIN = "you: any array of numbers"
MOST_CHANNELS = 16
MOST_OF_MEMORY = 0.5
"""Of the machine's, which an archive may take unpacked."""
REMEDY = "fetch it again, or save its arrays as .npy or .zarr, which are read a few points at a time"

Rows = Callable[[NDArray[np.intp]], NDArray[Any]]


def index(spec: DataSpec) -> list[Path]:
    """The array's file (of a .zarr all of them), and the labels'."""
    root = root_of(spec)
    if not os.path.exists(root):
        raise missing(spec, "the array", [root], ORIGIN)
    labels = _label_file(spec)
    if labels is not None and not os.path.isfile(labels):
        raise missing(spec, "the file of labels", [labels], ORIGIN)
    inside = sorted(path for path in root.rglob("*") if os.path.isfile(path)) if os.path.isdir(root) else []
    return [root, *inside, *([labels] if labels is not None else []), *file_of(spec)]


def open_(spec: DataSpec) -> Source:
    """The array's shape and labels; its values are read from disk as they are asked for (an .npz is unpacked whole).

    Raises
    ------
    UserError
        for missing and damaged files, arrays of objects, shapes that are none of the above, and labels that do not fit.
    """
    path = root_of(spec)
    match path.suffix:
        case ".npy":
            found: dict[str, Any] = {X: open_npy(path)}
        case ".npz":
            found = _open_npz(path)
        case ".zarr":
            found = _open_zarr(path)
        case other:
            raise UserError(f"data.root: {path} ends in {other!r}; an array is a .npy, .npz or .zarr")
    x = _pick(path, found)
    if x.dtype.kind not in "uif":
        raise unreadable(path, f"values of type {x.dtype}; numbers are wanted", "convert them")
    shape, arranged = _arrangement(path, x.shape)
    labels = _labels(spec, path, found, x.shape[0])
    n_classes = int(labels.max()) + 1
    bounds = spec.value_range or ((0.0, 255.0) if x.dtype == np.uint8 else None)

    def read(rows: NDArray[np.intp]) -> NDArray[np.float32]:
        return arranged(_rows(path, x, rows)).astype(np.float32)

    kind = "points" if len(shape) == 1 else "latent" if len(shape) == 3 and shape[0] != 3 else "image"
    numbers = tuple(str(c) for c in range(n_classes))
    names = (names_for(spec, numbers) if labels.any() or spec.class_names else None) or (
        numbers if n_classes > 1 else ("all",)
    )
    return Source(kind, shape, labels, names, read, bounds)  # type: ignore[arg-type]


def open_npy(path: Path) -> NDArray[Any]:
    """An .npy file, mapped and not read; objects, which would be pickles, are refused.

    Raises
    ------
    UserError
        when it is damaged or holds objects.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a head that lies makes NumPy fail in many ways
        raise unreadable(path, f"cannot be read as an array of numbers ({error})") from None


def require_labels(values: NDArray[Any], n: int, path: Path) -> NDArray[np.int64]:
    """Labels as (n,) int64.

    Raises
    ------
    UserError
        when they are not ``n`` whole numbers from 0 on.
    """
    if values.shape != (n,):
        raise unreadable(path, f"labels of shape {values.shape}, and {n} points", "give each point one label")
    if values.dtype.kind not in "ui":
        raise unreadable(path, f"labels of type {values.dtype}; whole numbers are wanted", "convert them")
    if n and int(values.min()) < 0:
        raise unreadable(path, f"label {values.min()} is out of range: classes count from 0", "renumber them")
    if n and int(values.max()) >= max(n, 2):
        raise unreadable(
            path, f"label {values.max()} is out of range: {n} points have no more classes", "renumber them"
        )
    return np.asarray(values, dtype=np.int64)


def _open_npz(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > (most := MOST_OF_MEMORY * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")):
            raise ValueError(
                f"unpacked it takes {unpacked / 1e9:,.1f} GB, more than the {most / 1e9:,.1f} GB allowed here"
            )
        with np.load(path, allow_pickle=False) as arrays:
            found = dict(arrays)
        if others := sorted(name for name, values in found.items() if not isinstance(values, np.ndarray)):
            raise ValueError(f"{shown(others)} in it: not arrays, whatever their names say")
        return found
    except Exception as error:  # a damaged archive fails in many ways
        raise unreadable(path, f"cannot be read as arrays of numbers ({error or 'no memory'})", REMEDY) from None


def _open_zarr(path: Path) -> dict[str, Any]:
    import zarr

    try:
        found = zarr.open(str(path), mode="r")
        return dict(found.arrays()) if isinstance(found, zarr.Group) else {X: found}
    except Exception as error:  # of Zarr's own many kinds
        raise unreadable(path, f"cannot be opened as Zarr ({error})") from None


def _rows(path: Path, array: Any, rows: Any) -> NDArray[Any]:
    """Some rows of a NumPy or Zarr array.

    Raises
    ------
    UserError
        when they cannot be decoded.
    """
    try:
        return np.asarray(array.oindex[rows] if hasattr(array, "oindex") else array[rows])
    except Exception as error:  # of the codecs' own many kinds
        raise unreadable(path, f"its values cannot be read ({error})") from None


def _pick(path: Path, found: dict[str, Any]) -> Any:
    if X in found:
        return found[X]
    others = {name: array for name, array in found.items() if name != Y}
    if len(others) == 1:
        return next(iter(others.values()))
    raise unreadable(path, f"holds the arrays {', '.join(found) or 'none'}; call the points {X!r}", "rename them")


def _arrangement(path: Path, shape: tuple[int, ...]) -> tuple[tuple[int, ...], Callable[[NDArray[Any]], NDArray[Any]]]:
    """A point's shape, and what brings rows into it: channels come first, and a single one is dropped."""
    if len(shape) in (2, 3) and min(shape) > 0:
        return shape[1:], lambda x: x
    if len(shape) == 4 and min(shape) > 0:
        if shape[1] == 1:
            return shape[2:], lambda x: x[:, 0]
        if shape[3] == 1:
            return shape[1:3], lambda x: x[..., 0]
        if shape[3] in (3, 4) and shape[1] > MOST_CHANNELS:
            return (shape[3], *shape[1:3]), lambda x: x.transpose(0, 3, 1, 2)
        if shape[1] <= MOST_CHANNELS:
            return shape[1:], lambda x: x
    raise unreadable(
        path, f"shape {shape}; (N, D), (N, H, W), (N, C, H, W) or (N, H, W, C) is wanted, and no length 0", "reshape it"
    )


def _labels(spec: DataSpec, path: Path, found: dict[str, Any], n: int) -> NDArray[np.int64]:
    if (file := _label_file(spec)) is not None:
        return require_labels(open_npy(file), n, file)
    name = spec.labels or Y
    if name in found:
        return require_labels(_rows(path, found[name], ...), n, path)
    if spec.labels is not None:
        raise UserError(f"data.labels = {name!r} is no array in {path}; it holds {', '.join(found)}")
    return np.zeros(n, dtype=np.int64)


def _label_file(spec: DataSpec) -> Path | None:
    """A separate file of labels, beside the array unless its path is absolute."""
    if spec.labels is None or not spec.labels.endswith(".npy"):
        return None
    return root_of(spec).parent / spec.labels


ARRAY: dict[str, DataSet] = {
    "array": DataSet(
        open=open_,
        index=index,
        layout=f"data.root names the .npy, .npz or .zarr: (N, D), (N, H, W), (N, C, H, W) or (N, H, W, C); in an archive "
        f"of several, {X!r} and, if there are classes, {Y!r} (or data.labels: a name, or an .npy file beside it)",
        origin=ORIGIN,
    )
}
