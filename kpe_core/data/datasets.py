"""One registry from name to data, and the split and preparation that make a data set a run's own."""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpe_core.data import images, planar
from kpe_core.data.prepare import Affine, pool_mean
from kpe_core.errors import UserError
from kpe_core.identity import digest
from kpe_core.study.specs import DataSpec

Loader = Callable[[int], tuple[NDArray[np.float32], NDArray[np.int64]]]

LOADERS: dict[str, Loader] = {
    "digits": lambda seed: images.digits(),
    "mnist5k": lambda seed: images.mnist5k(),
    **{name: functools.partial(planar.draw, name) for name in planar.SETS},
}

RAW_RANGE: dict[str, tuple[float, float]] = {"digits": (0.0, 16.0), "mnist5k": (0.0, 255.0)}
"""Declared value range of bounded data; the 2-D sets have none."""


@dataclass(frozen=True)
class Prepared:
    """A data set as the fields see it, flattened to coordinates.

    ``train``, ``held_out``: (N, D) float32; ``*_labels``: (N,) int64; ``shape``: of one point, prod = D;
    ``n_points``: how many of ``train``, from the first, are the field's training points.
    """

    name: str
    shape: tuple[int, ...]
    train: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    held_out: NDArray[np.float32]
    held_out_labels: NDArray[np.int64]
    n_points: int
    n_classes: int
    affine: Affine
    split_fingerprint: str
    """Hash of the prepared splits."""
    fingerprint: str
    """The same with ``n_points``: what a field can see of the data, and nothing else."""

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
    def is_image(self) -> bool:
        return len(self.shape) == 2


@functools.lru_cache(maxsize=8)
def load(spec: DataSpec) -> Prepared:
    """Load, split and prepare a data set.

    Raises
    ------
    UserError
        when the preparation or the number of training points does not fit the data.
    """
    raw, labels = LOADERS[spec.name](spec.seed)
    raw = pool_mean(raw, spec.prepare.pool) if spec.prepare.pool is not None else raw
    train, held_out = _split(labels, spec.held_out, spec.seed)
    n_points = spec.n_train if spec.n_train is not None else len(train)
    if n_points > len(train):
        raise UserError(f"data.n_train = {n_points}: the train split of {spec.name!r} has {len(train)} points")
    affine = Affine.fit(raw[train], spec.prepare, RAW_RANGE.get(spec.name))
    flat = affine.apply(raw).reshape(len(raw), -1)
    split_fingerprint = _fingerprint(flat[train], labels[train], flat[held_out], labels[held_out])
    return Prepared(
        name=spec.name,
        shape=raw.shape[1:],
        train=flat[train],
        train_labels=labels[train],
        held_out=flat[held_out],
        held_out_labels=labels[held_out],
        n_points=n_points,
        n_classes=int(labels.max()) + 1,
        affine=affine,
        split_fingerprint=split_fingerprint,
        fingerprint=digest(split_fingerprint, n_points),
    )


def _split(labels: NDArray[np.int64], held_out: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of train and held-out points: shuffled, then train's classes in turn so that every prefix is balanced."""
    rng = np.random.Generator(np.random.Philox(key=[seed, 0x5711]))
    order = rng.permutation(len(labels))
    cut = len(labels) - round(held_out * len(labels))
    if not 2 <= cut < len(labels):
        raise UserError(
            f"data.held_out = {held_out} leaves {cut} of {len(labels)} points to train on; both parts need some"
        )
    train, rest = order[:cut], order[cut:]
    turn = np.empty(cut, dtype=np.int64)
    for c in np.unique(labels):
        of_class = np.flatnonzero(labels[train] == c)
        turn[of_class] = np.arange(len(of_class))
    return train[np.lexsort((labels[train], turn))], rest


def _fingerprint(*parts: NDArray) -> str:
    h = hashlib.sha256()
    for part in parts:
        h.update(f"{part.dtype.str}{part.shape}".encode())
        h.update(np.ascontiguousarray(part).tobytes())
    return h.hexdigest()[:16]
