"""From a spec to the data as fields see them: found, read, split, prepared, fingerprinted."""

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpe_core.data import cache
from kpe_core.data.files import stamp
from kpe_core.data.prepare import Affine, pool_mean, pooled_shape
from kpe_core.data.registry import SETS
from kpe_core.data.rows import FileRows, MemoryRows, Rows, mapped
from kpe_core.data.source import Kind, Source
from kpe_core.data.split import Index, split
from kpe_core.errors import UserError
from kpe_core.identity import digest
from kpe_core.study.specs import DataSpec

VERSION = 1
"""Of the layout of prepared data on disk, and of what decoding makes of a file."""

FACTS, USED = "facts.json", "used.txt"
"""In a folder of prepared data: what they are; the stamp of the pictures they were made from, and their paths."""


@dataclass(frozen=True)
class Prepared:
    """A data set as the fields see it, flattened to coordinates.

    ``train``, ``held_out``: (N, D) float32, mapped from disk where the data came from files; ``*_labels``: (N,) int64;
    ``shape``: of one point, prod = D: (D,) a point, (H, W) a grey image, (C, H, W) a colour image or a latent;
    ``n_points``: how many of ``train``, from the first, are the field's training points.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    class_names: tuple[str, ...]
    value_range: tuple[float, float] | None
    """Lowest and highest raw value, where one is declared."""
    train: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    held_out: NDArray[np.float32]
    held_out_labels: NDArray[np.int64]
    n_points: int
    affine: Affine
    split_fingerprint: str
    """Hash of the prepared splits."""
    fingerprint: str
    """The same with ``n_points``: what a field can see of the data, and nothing else."""
    scale_factor: float = 1.0
    """What stored latents were multiplied by before preparation; raw values are latents as a diffusion model sees them."""
    vae: str | None = None
    """Folder of what decodes latents into pictures."""

    @property
    def points(self) -> NDArray[np.float32]:
        """The field's training points, (n_points, D)."""
        return self.train[: self.n_points]

    @property
    def point_labels(self) -> NDArray[np.int64]:
        return self.train_labels[: self.n_points]

    @property
    def dim(self) -> int:
        return int(np.prod(self.shape))

    @property
    def n_classes(self) -> int:
        return len(self.class_names)

    @property
    def is_image(self) -> bool:
        """Whether a point is a picture, grey or in colour; latents are none."""
        return self.kind == "image"

    @property
    def is_spatial(self) -> bool:
        """Whether a point has rows and columns: pictures and latents."""
        return len(self.shape) >= 2

    @property
    def channels(self) -> int:
        """1 for grey images, C for colour images and latents, 0 for points."""
        return 0 if not self.is_spatial else 1 if len(self.shape) == 2 else self.shape[0]


@functools.lru_cache(maxsize=8)
def load(spec: DataSpec) -> Prepared:
    """Load, split and prepare a data set.

    Data from files are decoded a block at a time into a cache on disk and mapped from there: memory does not grow with
    the data set, and a second process decodes nothing.

    Raises
    ------
    UserError
        when files are missing, damaged or changed, or what the spec asks does not fit the data.
    """
    index = SETS[spec.name].index(spec)
    prepared = _from_files(spec, index) if index else _in_memory(spec)
    n_points = spec.n_train if spec.n_train is not None else len(prepared.train)
    return replace(prepared, n_points=n_points, fingerprint=digest(prepared.split_fingerprint, n_points), vae=spec.vae)


def source_of(spec: DataSpec) -> Source:
    """The set's raw points.

    Raises
    ------
    UserError
        as its own module says.
    """
    source = SETS[spec.name].open(spec)
    if len(source) and not 0 <= source.labels.min() <= source.labels.max() < len(source.class_names):
        raise UserError(
            f"data set {spec.name!r}: labels run from {source.labels.min()} to {source.labels.max()}, "
            f"and there are {len(source.class_names)} classes"
        )
    return source


# -- the two places prepared data are kept ---------------------------------------------------------------------------


def _in_memory(spec: DataSpec) -> Prepared:
    source = source_of(spec)
    shape = pooled_shape(source.shape, spec.prepare.pool)
    parts = split(source, spec)
    train, held_out = (MemoryRows(len(index), shape) for index in parts)
    affine, fingerprint = _prepare(source, spec, (train, held_out), parts)
    points = tuple(rows.points.reshape(len(rows.points), -1) for rows in (train, held_out))
    labels = tuple(source.labels[index] for index in parts)
    return _prepared(_facts(source, spec, shape, fingerprint), points, labels, affine)


def known_fingerprint(spec: DataSpec) -> str | None:
    """``split_fingerprint`` where it costs nothing: of data that need no file, and of those prepared before.

    Raises
    ------
    UserError
        when files are missing.
    """
    index = SETS[spec.name].index(spec)
    if not index:
        return load(spec).split_fingerprint
    folder = cache.folder_of(_key(spec, index))
    return json.loads((folder / FACTS).read_text())["split_fingerprint"] if _is_whole(folder) else None


def _key(spec: DataSpec, index: list[Path]) -> str:
    """Id of everything that determines the prepared data, but for the pictures a list names: those are stamped inside."""
    most = max(spec.reference, spec.n_train or 0) if isinstance(spec.reference, int) else spec.reference
    said = spec.identity() | {"n_train": None, "reference": most, "root": spec.root, "labels": spec.labels}
    said["class_names"] = spec.class_names
    return digest("prepared", VERSION, said, stamp(index))


def _is_whole(folder: Path) -> bool:
    """Whether a folder holds prepared data, and every picture they were made from is as it was."""
    try:
        with (folder / USED).open(encoding="utf-8") as lines:
            said = next(lines).rstrip("\n")
            return said == stamp(Path(line.rstrip("\n")) for line in lines) and (folder / FACTS).is_file()
    except (OSError, StopIteration, UnicodeDecodeError):
        return False


def _from_files(spec: DataSpec, index: list[Path]) -> Prepared:
    folder = cache.entry(_key(spec, index), _is_whole, functools.partial(_write, spec))
    facts = json.loads((folder / FACTS).read_text())
    labels = tuple(np.load(folder / f"{name}_labels.npy", allow_pickle=False) for name in ("train", "held_out"))
    shape = tuple(facts["shape"])
    points = tuple(
        mapped(folder / f"{name}.f32", len(y), shape).reshape(len(y), -1)
        for name, y in zip(("train", "held_out"), labels, strict=True)
    )
    affine = Affine(np.load(folder / "shift.npy", allow_pickle=False), facts["factor"])
    return _prepared(facts, points, labels, affine)


def _write(spec: DataSpec, folder: Path) -> None:
    """Prepare into a folder."""
    source = source_of(spec)
    shape = pooled_shape(source.shape, spec.prepare.pool)
    parts = split(source, spec)
    try:
        stamped = stamp(_files_used(source, parts))
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: no such file, though the list of {spec.name!r} names it") from None
    cache.require_room(folder, 4 * int(np.prod(shape)) * sum(map(len, parts)))
    rows = [
        FileRows(folder / f"{name}.f32", len(i), shape) for name, i in zip(("train", "held_out"), parts, strict=True)
    ]
    try:
        affine, fingerprint = _prepare(source, spec, (rows[0], rows[1]), parts)
    finally:
        for each in rows:
            each.close()
    for name, index in zip(("train", "held_out"), parts, strict=True):
        np.save(folder / f"{name}_labels.npy", source.labels[index])
    np.save(folder / "shift.npy", affine.shift)
    # The hash of the numbers does not tell their shape, nor classes without points.
    fingerprint = digest(fingerprint, shape, len(source.class_names))
    facts = _facts(source, spec, shape, fingerprint) | {"factor": affine.factor}
    with (folder / USED).open("w", encoding="utf-8") as lines:
        lines.write(f"{stamped}\n")
        lines.writelines(f"{path}\n" for path in _files_used(source, parts))
    (folder / FACTS).write_text(json.dumps(facts))


def _files_used(source: Source, parts: Iterable[Index]) -> Iterator[Path]:
    """The files of their own that points are read from."""
    if source.file_of is not None:
        for index in parts:
            yield from map(source.file_of, index)


def _facts(source: Source, spec: DataSpec, shape: tuple[int, ...], fingerprint: str) -> dict[str, Any]:
    return {
        "name": spec.name,
        "kind": source.kind,
        "shape": shape,
        "class_names": source.class_names,
        "value_range": source.value_range,
        "split_fingerprint": fingerprint,
        "scale_factor": source.scale_factor,
    }


def _prepared(
    facts: dict[str, Any],
    points: tuple[NDArray[np.float32], ...],
    labels: tuple[NDArray[np.int64], ...],
    affine: Affine,
) -> Prepared:
    bounds = facts["value_range"]
    return Prepared(
        name=facts["name"],
        kind=facts["kind"],
        shape=tuple(facts["shape"]),
        class_names=tuple(facts["class_names"]),
        value_range=None if bounds is None else (bounds[0], bounds[1]),
        train=points[0],
        train_labels=labels[0],
        held_out=points[1],
        held_out_labels=labels[1],
        n_points=len(points[0]),
        affine=affine,
        split_fingerprint=facts["split_fingerprint"],
        fingerprint="",
        scale_factor=facts["scale_factor"],
    )


# -- preparing ---------------------------------------------------------------------------------------------------------


def _prepare(source: Source, spec: DataSpec, rows: tuple[Rows, Rows], parts: tuple[Index, Index]) -> tuple[Affine, str]:
    """Fill both parts' rows with prepared points; the preparation, and the hash of what came of it."""
    for these, index in zip(rows, parts, strict=True):
        _fill(these, source, index, spec.prepare.pool)
    affine = Affine.fit(rows[0], spec.prepare, source.value_range)
    h = hashlib.sha256()
    for these, index in zip(rows, parts, strict=True):
        _hash(h, (len(index), these.dim), np.dtype(np.float32), _applied(these, affine))
        labels = source.labels[index]
        _hash(h, labels.shape, labels.dtype, [labels])
    return affine, h.hexdigest()[:16]


def _fill(rows: Rows, source: Source, index: Index, pool: int | None) -> None:
    """Read points in the order they lie in, and put each where the split wants it.

    Raises
    ------
    UserError
        when a value is not finite; names the point.
    """
    order = np.argsort(index, kind="stable")
    block = max(1, rows.most_bytes // (4 * int(np.prod(source.shape))))
    for start in range(0, len(order), block):
        positions = order[start : start + block]
        raw = source.read(index[positions])
        if not np.isfinite(raw).all():
            bad = int(np.flatnonzero(~np.isfinite(raw).reshape(len(raw), -1).all(axis=1))[0])
            raise UserError(
                f"{source.where(int(index[positions[bad]]))} holds values that are not finite "
                "(NaN or infinite, or beyond float32); mend or remove it"
            )
        rows.put(positions, raw if pool is None else pool_mean(raw, pool))


def _applied(rows: Rows, affine: Affine) -> Iterable[NDArray[np.float32]]:
    """Each block prepared, put back, and told."""
    start = 0
    for block in rows:
        done = affine.apply(block)
        rows.put(np.arange(start, start + len(done)), done)
        start += len(done)
        yield done


def _hash(h: Any, shape: tuple[int, ...], dtype: np.dtype, blocks: Iterable[NDArray]) -> None:
    h.update(f"{dtype.str}{shape}".encode())
    for block in blocks:
        h.update(np.ascontiguousarray(block).data)
