"""Which points are trained on and which are held out, in which order."""

import numpy as np
from numpy.typing import NDArray

from kpe_core.data.source import HELD_OUT, TRAIN, Source
from kpe_core.errors import UserError
from kpe_core.study.specs import DataSpec

Index = NDArray[np.intp]


def split(source: Source, spec: DataSpec) -> tuple[Index, Index]:
    """Numbers of the points read of the train and of the held-out part.

    Both are shuffled; train then takes its classes in turn, so that every prefix is balanced. ``reference`` cuts both
    short, train not below ``n_train``.

    Raises
    ------
    UserError
        when a part would be empty, or has fewer points than ``n_train``.
    """
    train, held_out = _parts(source, spec)
    if spec.n_train is not None and spec.n_train > len(train):
        raise UserError(f"data.n_train = {spec.n_train}: the train split of {spec.name!r} has {len(train)} points")
    most = spec.reference if isinstance(spec.reference, int) else len(source)
    train = in_turn(train, source.labels)[: max(most, spec.n_train or 0)]
    if len(held_out) > most:
        held_out = in_turn(held_out, source.labels)[:most]
    return train, held_out


def _parts(source: Source, spec: DataSpec) -> tuple[Index, Index]:
    rng = np.random.Generator(np.random.Philox(key=[spec.seed, 0x5711]))
    if spec.split == "own" and source.part is not None:
        train, held_out = (rng.permutation(np.flatnonzero(source.part == part)) for part in (TRAIN, HELD_OUT))
        if len(train) < 2 or not len(held_out):
            raise UserError(
                f"data set {spec.name!r} has {len(train)} points to train on and {len(held_out)} to test on; "
                "both parts need some (split: random parts all there are)"
            )
        return train, held_out
    n, share = len(source), spec.held_out or 0.0
    order = rng.permutation(n)
    cut = n - round(share * n)
    if not 2 <= cut < n:
        raise UserError(f"data.held_out = {share} leaves {cut} of {n} points to train on; both parts need some")
    return order[:cut], order[cut:]


def in_turn(index: Index, labels: NDArray[np.int64]) -> Index:
    """``index`` with its classes in turn: the first of each class, the second of each, and so on, in order within one."""
    own = labels[index]
    by_class = np.argsort(own, kind="stable")
    sizes = np.bincount(own)
    turn = np.empty(len(index), dtype=np.int64)
    turn[by_class] = np.arange(len(index)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return index[np.lexsort((own, turn))]
