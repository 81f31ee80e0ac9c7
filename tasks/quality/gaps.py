"""Differences as columns, made so that nothing undefined can pass a bound."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Column = NDArray[np.float64]


def relative_gap(found: ArrayLike, expected: ArrayLike) -> Column:
    """|found − expected| / |expected|: 0 where both are equal, infinite where either is NaN.

    Great Expectations leaves NaN out of a comparison, so a NaN here would pass.
    """
    a, b = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.abs(a - b) / np.abs(b)
    gap[a == b] = 0.0
    return never_nan(gap)


def share(part: ArrayLike, whole: ArrayLike) -> Column:
    """part / whole: 0 where part is 0, infinite where undefined."""
    a, b = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = a / b
    ratio[a == 0.0] = 0.0
    return never_nan(ratio)


def never_nan(values: ArrayLike) -> Column:
    """``values`` with NaN as +infinity."""
    return np.nan_to_num(np.asarray(values, dtype=np.float64), nan=np.inf, posinf=np.inf, neginf=-np.inf)


def not_finite(frame: pd.DataFrame, columns: list[str]) -> NDArray[np.object_]:
    """For every row the names of those ``columns`` whose value is missing, NaN or infinite; "" where all are finite."""
    bad = ~np.isfinite(frame[columns].to_numpy(dtype=np.float64, na_value=np.nan))
    named = np.full(len(frame), "", dtype=object)
    for row in np.flatnonzero(bad.any(axis=1)):
        named[row] = ", ".join(np.asarray(columns)[bad[row]])
    return named


def full_names(scores: pd.DataFrame) -> pd.Series:
    """Each metric with the space it lives in, where it has one: ``frechet in pca``."""
    return scores["metric"].where(scores["space"].isna(), scores["metric"] + " in " + scores["space"].fillna(""))
