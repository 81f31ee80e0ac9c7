"""Which class each sample of a run is asked for."""

import difflib

import numpy as np
from numpy.typing import NDArray

from kpe_core.data.datasets import Prepared
from kpe_core.errors import UserError
from kpe_core.study.runs import Cell
from kpe_core.study.specs import Classes

GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, modulo 1, fill the unit interval evenly from the first on (Weyl 1916; least discrepancy of all)."""


def labels_of(cell: Cell, prepared: Prepared) -> NDArray[np.int64]:
    """The class of every sample, (n_samples,) int64; −1 where the field is unconditional.

    Sample i's class depends on i, the choice ``classes`` and the training points' labels alone, never on how the run is
    cut: classes in turn (``even``); the class at quantile (i + ½)·φ⁻¹ mod 1 of the training points' (``data``), so that any
    run of samples has their proportions; or the given classes, over and over.
    """
    i = np.arange(cell.n_samples, dtype=np.int64)
    if not cell.conditional:
        return np.full_like(i, -1)
    if cell.classes == "even":
        return i % prepared.n_classes
    if cell.classes == "data":
        reached = np.cumsum(np.bincount(prepared.point_labels, minlength=prepared.n_classes))
        quantile = ((i + 0.5) * GOLDEN) % 1.0
        return np.searchsorted(reached, np.floor(quantile * reached[-1]), side="right").astype(np.int64)
    chosen = np.array(class_numbers(cell.classes, prepared), dtype=np.int64)
    return chosen[i % len(chosen)]


def class_numbers(classes: Classes, prepared: Prepared) -> Classes:
    """``classes`` with its names replaced by numbers, so that one choice has one spelling and one identity.

    Raises
    ------
    UserError
        when the data have no such class.
    """
    if isinstance(classes, str):
        return classes
    return tuple(_number(c, prepared) for c in classes)


def _number(wanted: int | str, prepared: Prepared) -> int:
    names = prepared.class_names
    if isinstance(wanted, int) and wanted < len(names):
        return wanted
    if isinstance(wanted, str) and names.count(wanted) == 1:
        return names.index(wanted)
    known = ", ".join(names[:12]) + (f", … ({len(names)} in all)" if len(names) > 12 else "")
    if isinstance(wanted, str) and names.count(wanted) > 1:
        raise UserError(
            f"sampling.classes: {names.count(wanted)} classes of {prepared.name!r} are called {wanted!r}; give its number"
        )
    near = difflib.get_close_matches(str(wanted), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near and isinstance(wanted, str) else ""
    raise UserError(
        f"sampling.classes: {prepared.name!r} has no class {wanted!r}{hint}; classes are numbered 0 to {len(names) - 1} "
        f"and named {known}"
    )
