"""Rank correlations, two-sample tests and effect sizes: how strongly energy goes with something else.

Every function takes (n,) arrays of numbers. Infinities are ranked like any other value (an exact copy's k-NN density is
infinite); where a distance or a mean is asked for, they are refused. What is undefined for constant input is NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from kpe_core.errors import UserError
from kpe_core.measure.bootstrap import LEVEL, Interval, Z

EXACT_UP_TO = 50
"""Largest untied samples whose Mann–Whitney p is counted out, in milliseconds; at 20 the normal p = 0.005 is 20 % off."""
RESIDUE = 1e-9
"""Share of a variable's spread below which what its covariates leave of it is rounding."""
ROUNDING = 1e-14

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's ρ with its 95 % interval and two-sided p; all NaN where a variable (or what is left of it) is constant."""

    rho: float
    low: float
    high: float
    p: float
    n: int


def spearman(x: ArrayLike, y: ArrayLike, given: Sequence[ArrayLike] = ()) -> RankCorrelation:
    """Spearman's ρ of ``x`` and ``y``; with ``given``, the partial one that holds those fixed.

    Ties share the mean of their ranks. The partial ρ correlates what a least-squares fit on the ranks of ``given`` leaves
    of the ranks of x and y. The interval is Fisher's z with Bonett and Wright's standard error
    √((1 + ρ²/2) / (m − 3)), m = n − number of given (Psychometrika 65, 2000): NaN for m ≤ 3, of width zero at |ρ| = 1.
    p is that of Student's t with m − 2 degrees of freedom.

    Raises
    ------
    UserError
        when a value is NaN or the variables differ in length.
    """
    given_ranks = [_ranks(z, f"given[{i}]") for i, z in enumerate(given)]
    ranks = [_ranks(x, "x"), _ranks(y, "y")]
    n = len(ranks[0])
    if len({len(r) for r in [*ranks, *given_ranks]}) > 1:
        lengths = ", ".join(str(len(r)) for r in [*ranks, *given_ranks])
        raise UserError(f"spearman: variables of {lengths} values; give as many of each, in the same order")
    left_x, left_y = (_left_over(r, given_ranks) for r in ranks)
    norm = float(np.linalg.norm(left_x) * np.linalg.norm(left_y))
    if norm == 0:
        return RankCorrelation(np.nan, np.nan, np.nan, np.nan, n)
    rho = float(np.clip(left_x @ left_y / norm, -1.0, 1.0))
    if 1 - abs(rho) < ROUNDING:
        rho = float(np.sign(rho))
    m = n - len(given_ranks)
    return RankCorrelation(rho, *_fisher_interval(rho, m), _student_p(rho, m - 2), n)


def _left_over(ranks: Floats, given: list[Floats]) -> Floats:
    """What a least-squares fit on a constant and ``given`` leaves of ``ranks``; exactly zero where that is rounding."""
    centred = ranks - ranks.mean()
    if not given:
        return centred
    design = np.column_stack([z - z.mean() for z in given])
    left = centred - design @ np.linalg.lstsq(design, centred, rcond=None)[0]
    return left if np.linalg.norm(left) > RESIDUE * np.linalg.norm(centred) else np.zeros_like(left)


def _fisher_interval(rho: float, m: int) -> tuple[float, float]:
    if m <= 3:
        return np.nan, np.nan
    if abs(rho) == 1:
        return rho, rho
    z, spread = np.arctanh(rho), Z * np.sqrt((1 + rho**2 / 2) / (m - 3))
    return float(np.tanh(z - spread)), float(np.tanh(z + spread))


def _student_p(rho: float, freedom: int) -> float:
    if freedom < 1:
        return np.nan
    if abs(rho) == 1:
        return 0.0
    return float(2 * stats.t.sf(abs(rho) * np.sqrt(freedom / (1 - rho**2)), freedom))


@dataclass(frozen=True)
class MannWhitney:
    """Whether values of ``a`` tend to exceed those of ``b``."""

    u: float
    """Pairs in which a exceeds b, ties counting half."""
    auc: float
    """u over the number of pairs: P(a > b) + ½ P(a = b)."""
    z: float
    """u less its mean, corrected for continuity by ½ towards 0, over its standard error corrected for ties."""
    p: float
    """Two-sided."""
    log_p: float
    """Natural logarithm of p, finite also where p underflows to 0."""
    method: Literal["exact", "normal"]
    n_a: int
    n_b: int

    @property
    def cliffs_delta(self) -> float:
        """P(a > b) − P(a < b) = 2 auc − 1 (Cliff 1993)."""
        return 2 * self.auc - 1


def mann_whitney(a: ArrayLike, b: ArrayLike) -> MannWhitney:
    """Mann and Whitney's U of ``a`` (n_a,) over ``b`` (n_b,).

    p is exact, by counting all orders, where neither sample has more than ``EXACT_UP_TO`` values and none are tied; else
    normal, from z. Where all values are equal z and p are NaN.

    Raises
    ------
    UserError
        when a sample is empty or holds NaN.
    """
    a, b = _values(a, "a"), _values(b, "b")
    ranks = stats.rankdata(np.concatenate([a, b]))
    n_a, n_b = len(a), len(b)
    u = float(ranks[:n_a].sum() - n_a * (n_a + 1) / 2)
    tied = np.unique(ranks, return_counts=True)[1].astype(np.float64)
    n = n_a + n_b
    variance = n_a * n_b / 12 * (n + 1 - float(np.sum(tied**3 - tied)) / (n * (n - 1)))
    away = u - n_a * n_b / 2
    z = float(np.sign(away) * max(abs(away) - 0.5, 0.0) / np.sqrt(variance)) if len(tied) > 1 else np.nan
    if max(n_a, n_b) <= EXACT_UP_TO and len(tied) == n:
        p = float(stats.mannwhitneyu(a, b, method="exact").pvalue)
        return MannWhitney(u, u / (n_a * n_b), z, p, float(np.log(p)), "exact", n_a, n_b)
    log_p = float(np.log(2) + stats.norm.logsf(abs(z)))
    return MannWhitney(u, u / (n_a * n_b), z, float(np.exp(log_p)), log_p, "normal", n_a, n_b)


def cohens_d(a: ArrayLike, b: ArrayLike) -> float:
    """Difference of the means of ``a`` and ``b`` in pooled standard deviations; NaN where nothing varies.

    Raises
    ------
    UserError
        when a sample is empty or a value is not finite.
    """
    a, b = _values(a, "a", finite=True), _values(b, "b", finite=True)
    freedom = len(a) + len(b) - 2
    spread = np.sum((a - a.mean()) ** 2) + np.sum((b - b.mean()) ** 2)
    constant = np.all(a == a[0]) and np.all(b == b[0])
    return np.nan if constant else float((a.mean() - b.mean()) / np.sqrt(spread / freedom))


def quantile_bins(by: ArrayLike, bins: int) -> NDArray[np.int64]:
    """(n,) which of ``bins`` equally filled bins each value of ``by`` lies in, 0 for the lowest.

    Equal values share the lowest bin that any of them reaches, so that many ties leave some bins fuller than others, or
    empty; without ties sizes differ by one at most.

    Raises
    ------
    UserError
        when there are fewer than 2 bins, or fewer values than bins, or a value is NaN.
    """
    by = _values(by, "by")
    n = len(by)
    if not 2 <= bins <= n:
        raise UserError(f"quantile_bins: {bins} bins of {n} values; give at least 2 bins and a value for each")
    last = [-(-k * n // bins) - 1 for k in range(1, bins)]  # of each bin but the highest, in ascending order
    return np.searchsorted(np.sort(by)[last], by, side="left")


@dataclass(frozen=True)
class BinDistance:
    """How the values of one quantile bin differ from those of the lowest bin; NaN where a bin is empty."""

    bin: int
    n: int
    wasserstein: float
    """Wasserstein-1 distance of the two distributions, in the values' unit."""
    cliffs_delta: float
    """P(bin > lowest) − P(bin < lowest)."""
    mean_difference: Interval
    """Mean of the bin minus mean of the lowest, with Welch's 95 % interval; NaN ends where a bin has a single value."""


def bin_distances(values: ArrayLike, by: ArrayLike, bins: int) -> tuple[BinDistance, ...]:
    """Distances of ``values`` (n,) in each higher quantile bin of ``by`` (n,) from those in its lowest one.

    bins − 1 of them, in ascending order of ``by``: the last holds the highest against the lowest.

    Raises
    ------
    UserError
        when values and by differ in length, a value is not finite, or ``quantile_bins`` cannot be made.
    """
    values, bin_of = _values(values, "values", finite=True), quantile_bins(by, bins)
    if len(values) != len(bin_of):
        raise UserError(
            f"bin_distances: {len(values)} values by {len(bin_of)}; give as many of each, in the same order"
        )
    lowest = values[bin_of == 0]
    return tuple(_bin_distance(i, values[bin_of == i], lowest) for i in range(1, bins))


def _bin_distance(i: int, here: Floats, lowest: Floats) -> BinDistance:
    if not (len(here) and len(lowest)):
        return BinDistance(i, len(here), np.nan, np.nan, Interval(np.nan, np.nan, np.nan))
    distance = float(stats.wasserstein_distance(here, lowest))
    return BinDistance(i, len(here), distance, mann_whitney(here, lowest).cliffs_delta, _welch(here, lowest))


def _welch(a: Floats, b: Floats) -> Interval:
    """Difference of means with its interval from Student's t at Welch and Satterthwaite's degrees of freedom."""
    difference = float(a.mean() - b.mean())
    if min(len(a), len(b)) < 2:
        return Interval(difference, np.nan, np.nan)
    of_a, of_b = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    if of_a + of_b == 0:
        return Interval(difference, difference, difference)
    freedom = (of_a + of_b) ** 2 / (of_a**2 / (len(a) - 1) + of_b**2 / (len(b) - 1))
    spread = float(stats.t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(of_a + of_b))
    return Interval(difference, difference - spread, difference + spread)


def _ranks(values: ArrayLike, name: str) -> Floats:
    return np.asarray(stats.rankdata(_values(values, name)), dtype=np.float64)


def _values(values: ArrayLike, name: str, finite: bool = False) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not len(found):
        raise UserError(f"{name} has shape {found.shape}; give a list of numbers, at least one")
    bad = ~np.isfinite(found) if finite else np.isnan(found)
    if bad.any():
        first, kind = int(np.argmax(bad)), "not finite" if finite else "NaN"
        raise UserError(
            f"{name}: {bad.sum()} of {len(found)} values are {kind}, first at {first}; leave those rows out"
        )
    return found
