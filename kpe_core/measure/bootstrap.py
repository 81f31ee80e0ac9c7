"""Bootstrap intervals for means, shares, paired differences and any statistic of row weights.

Seeded, vectorised over resamples, streamed in blocks. Efron and Tibshirani, *An Introduction to the Bootstrap* (1993):
percentile interval §13.3, BCa §14.3. Agrees with ``scipy.stats.bootstrap`` draw by draw; it is not used here because its
BCa takes n² memory traffic where a mean's jackknife has a closed form, and answers NaN where all values are equal.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

LEVEL = 0.95
Z = float(ndtri(0.5 + LEVEL / 2))
"""Half the width of a normal 95 % interval, in standard errors."""
BLOCK_BYTES = 16 * 2**20
STREAM = 0xB007

Floats = NDArray[np.float64]
Method = Literal["bca", "percentile", "normal"]
Statistic = Callable[[Floats], Floats]
"""Of row weights (R, n), one row a resample, to its R values. Must not depend on the weights' sum."""


class Interval(NamedTuple):
    """A value with the ends of its 95 % interval; NaN ends where there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Resamples:
    """``draws`` resamples of ``n`` rows with replacement; runs that share n, draws and seed are resampled together."""

    n: int
    draws: int
    seed: int

    def counts(self) -> Iterator[Floats]:
        """Blocks (r, n) float64 of how often each row was drawn; the draws do not depend on the block size."""
        rng = np.random.Generator(np.random.Philox(key=[self.seed, STREAM]))
        block = _rows_at_once(self.n)
        for start in range(0, self.draws, block):
            rows = min(block, self.draws - start)
            drawn = rng.integers(0, self.n, (rows, self.n))
            drawn += self.n * np.arange(rows)[:, None]
            yield np.bincount(drawn.ravel(), minlength=rows * self.n).reshape(rows, self.n).astype(np.float64)


def mean_interval(values: Floats, resamples: Resamples, method: Method = "bca") -> Interval:
    """Mean of ``values`` (n,) with its interval.

    A share is the mean of 0.0 and 1.0; a paired difference the mean of the pairs' differences. Values that are all equal
    have an interval of width zero; values that are not all finite have none (NaN).

    Raises
    ------
    ValueError
        when there are not ``resamples.n`` values.
    """
    return mean_intervals({"values": values}, resamples, method)["values"]


def mean_intervals(columns: dict[str, Floats], resamples: Resamples, method: Method = "bca") -> dict[str, Interval]:
    """``mean_interval`` of several columns (n,) of the same rows, resampled together in one pass."""
    for name, column in columns.items():
        if column.shape != (resamples.n,):
            raise ValueError(f"{name} has shape {column.shape}, but {resamples.n} rows are resampled")
    return {
        name: _mean_interval(column, draws, method)
        for (name, column), draws in zip(columns.items(), _mean_draws(columns, resamples), strict=True)
    }


def _mean_draws(columns: dict[str, Floats], resamples: Resamples) -> Floats:
    """(columns, draws) resampled means, each of its column's distances from its first value.

    So a small spread survives beside a large mean, shares tie exactly, and equal values come out exactly equal.
    """
    away = np.column_stack([_away(column) for column in columns.values()])
    return np.concatenate([counts @ away for counts in resamples.counts()]).T / resamples.n


def _mean_interval(column: Floats, draws: Floats, method: Method) -> Interval:
    mean = float(np.mean(column))
    if not np.isfinite(column).all():
        return Interval(mean, np.nan, np.nan)
    away = _away(column)
    # leaving row i out moves a mean down by (row i − mean) / (n − 1): the jackknife in closed form
    centre, low, high = _interval(float(away.mean()), draws, method, away - away.mean())
    return Interval(mean, low + (mean - centre), high + (mean - centre))


def _away(column: Floats) -> Floats:
    finite = np.where(np.isfinite(column), column, 0.0)
    return finite - finite[0]


def statistic_interval(statistic: Statistic, resamples: Resamples, method: Method = "bca") -> Interval:
    """A statistic of row weights with its interval; its value is the one at equal weights.

    ``normal`` is value ± 1.96 bootstrap standard errors: for statistics biased under resampling (the Fréchet distance),
    whose percentiles sit off the value. ``bca`` evaluates the statistic n more times, for its jackknife.
    """
    value = float(statistic(np.ones((1, resamples.n)))[0])
    draws = np.concatenate([statistic(counts) for counts in resamples.counts()])
    moved = None
    if method == "bca":
        left_out = np.concatenate([statistic(weights) for weights in _leave_one_out(resamples.n)])
        moved = left_out.mean() - left_out
    return _interval(value, draws, method, moved)


def _interval(value: float, draws: Floats, method: Method, moved: Floats | None) -> Interval:
    """``moved``: how far each row left out moved the statistic down, up to a common factor; for BCa."""
    if method == "normal":
        spread = Z * float(np.std(draws, ddof=1))
        return Interval(value, value - spread, value + spread)
    tails = np.array([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if method == "bca":
        assert moved is not None
        tails = _bca_tails(value, draws, moved, tails)
    low, high = np.quantile(draws, tails)
    return Interval(value, float(low), float(high))


def _bca_tails(value: float, draws: Floats, moved: Floats, tails: Floats) -> Floats:
    """Percentiles corrected for the draws' median bias z₀ and the acceleration a of the standard error."""
    below = (np.count_nonzero(draws < value) + np.count_nonzero(draws <= value)) / (2 * len(draws))
    z0 = ndtri(np.clip(below, 0.5 / len(draws), 1 - 0.5 / len(draws)))
    power = float(np.sum(moved**2)) ** 1.5
    a = float(np.sum(moved**3)) / (6 * power) if power > 0 else 0.0
    z = z0 + ndtri(tails)
    return np.asarray(ndtr(z0 + z / np.maximum(1 - a * z, np.finfo(np.float64).tiny)))


def _leave_one_out(n: int) -> Iterator[Floats]:
    block = _rows_at_once(n)
    for start in range(0, n, block):
        rows = np.arange(start, min(n, start + block))
        weights = np.ones((len(rows), n))
        weights[rows - start, rows] = 0.0
        yield weights


def _rows_at_once(n: int) -> int:
    return max(1, BLOCK_BYTES // (8 * n))
