"""Bootstrap intervals, seeded, vectorised over resamples."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95


class Interval(NamedTuple):
    value: float
    low: float
    high: float


def resample_counts(n: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """(resamples, n) float64: how often each of n rows was drawn, n draws with replacement a resample."""
    rng = np.random.Generator(np.random.Philox(key=[seed, 0xB007]))
    return rng.multinomial(n, np.full(n, 1.0 / n), size=resamples).astype(np.float64)


def mean_interval(values: NDArray[np.float64], counts: NDArray[np.float64]) -> Interval:
    """Mean of ``values`` (n,) with its percentile interval over the resamples ``counts`` (R, n)."""
    draws = counts @ values / len(values)
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def statistic_interval(
    statistic: Callable[[NDArray[np.float64] | None], float], counts: NDArray[np.float64]
) -> Interval:
    """A statistic of row weights with its normal interval, value ± 1.96 bootstrap standard errors.

    For statistics biased under resampling (Fréchet distance), whose percentiles would sit off the value.
    """
    value = statistic(None)
    spread = 1.959964 * float(np.std([statistic(c) for c in counts], ddof=1))
    return Interval(value, value - spread, value + spread)
