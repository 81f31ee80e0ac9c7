"""Fréchet distance of two feature sets, and what it would be without its bias of small samples."""

import numpy as np
from numpy.typing import NDArray

from kpe_core.measure.bootstrap import Interval, Z

PARTS = 4
"""The smallest subsets are a PARTS-th of each set."""
DRAWS = 4
GROUPS = 20
STREAM = 0xF1D

Features = NDArray[np.floating]
Moments = tuple[NDArray[np.float64], NDArray[np.float64]]
Rows = NDArray[np.int64]


def moments(features: Features, weights: NDArray[np.float64] | None = None) -> Moments:
    """Mean (F,) and covariance (F, F) in float64; ``weights`` (n,) count each row, as a bootstrap resample does."""
    f = features.astype(np.float64)
    return np.average(f, axis=0, weights=weights), np.cov(f, rowvar=False, fweights=_whole(weights))


def _whole(weights: NDArray[np.float64] | None) -> NDArray[np.int64] | None:
    return None if weights is None else weights.astype(np.int64)


def frechet(a: Moments, b: Moments) -> float:
    """‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2 (Σ_a^½ Σ_b Σ_a^½)^½), between the Gaussians of two feature sets.

    Moments of finite samples bias it upwards, by about (1/n_a + 1/n_b) times a constant of order F tr Σ: it falls with n.
    """
    root = _sqrt_psd(a[1])
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ b[1] @ root), 0.0, None)).sum()
    return float(np.sum((a[0] - b[0]) ** 2) + np.trace(a[1]) + np.trace(b[1]) - 2.0 * cross)


def frechet_influence(a: Moments, b: Moments, rows: Features) -> NDArray[np.float64]:
    """How the distance of ``a`` and ``rows`` (n, F), whose moments are ``b``, changes with each row's weight: (n,), mean 0.

    The derivative along w_i of ``frechet(a, moments(rows, w))``: with u the row less its mean and the transport map
    T = Σ_a^½ (Σ_a^½ Σ_b Σ_a^½)^-½ Σ_a^½ from ``b`` to ``a``, half of which is the derivative of the last trace, it is
    −2(μ_a − μ_b)·u + u·u − uᵀTu, centred. Its root mean square over √n is the distance's standard error by the
    infinitesimal jackknife (Jaeckel 1972, Efron 1981): the bootstrap's to first order, at the price of one resample.
    """
    root = _sqrt_psd(a[1])
    values, vectors = np.linalg.eigh(root @ b[1] @ root)
    kept = values > values.max() * len(values) * np.finfo(np.float64).eps
    inverse = np.where(kept, 1.0 / np.sqrt(np.where(kept, values, 1.0)), 0.0)
    half = (vectors * np.sqrt(inverse)).T @ root
    u = rows.astype(np.float64) - b[0]
    moved = -2.0 * u @ (a[0] - b[0]) + np.square(u).sum(axis=1) - np.square(u @ half.T).sum(axis=1)
    return np.asarray(moved - moved.mean())


def _sqrt_psd(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T


def extrapolable(n_real: int, n_generated: int, features: int) -> bool:
    """Whether the smallest subsets have two rows a feature: below, the distance is no longer linear in 1/n."""
    return min(n_real, n_generated) // PARTS >= 2 * features


def frechet_infinite(real: Features, generated: Features, seed: int) -> Interval:
    """Fréchet distance of ``real`` (N, F) and ``generated`` (n, F) extrapolated to infinitely many rows of both.

    Chong and Forsyth, *Effectively Unbiased FID and Inception Score* (CVPR 2020): the distance is nearly linear in one
    over the number of rows, so the intercept of a straight line through its values at several sizes has no bias of
    first order. Both sets shrink by the same factors 1, ½, … 1/PARTS, for the real set's size biases the distance as the
    generated one's does. At each size the rows are divided into disjoint parts, DRAWS times, so that every row counts
    alike and no size is noisier than it must be. The estimate may be slightly negative where the sets agree.

    The interval is ± 1.96 standard errors of the intercept, from a jackknife that leaves out GROUPS groups of rows of
    both sets in turn: the residuals of the line would not do, since all its points come from the same rows. Where the
    distance is near zero the jackknife overstates the error (Efron and Stein 1981). float64; seeded.

    Raises
    ------
    ValueError
        when the sets are not ``extrapolable``.
    """
    if not extrapolable(len(real), len(generated), real.shape[1]):
        raise ValueError(
            f"frechet_infinite of {len(real)} and {len(generated)} rows of {real.shape[1]} features: "
            f"{2 * PARTS * real.shape[1]} rows of each are needed"
        )
    rng = np.random.Generator(np.random.Philox(key=[seed, STREAM]))
    sets = (real.astype(np.float64), generated.astype(np.float64))
    orders = [(rng.permutation(len(real)), rng.permutation(len(generated))) for _ in range(DRAWS)]
    groups = (rng.permutation(len(real)) % GROUPS, rng.permutation(len(generated)) % GROUPS)
    value = _intercept(sets, orders, groups, without=None)
    left_out = [_intercept(sets, orders, groups, group) for group in range(GROUPS)]
    error = float(np.sqrt((GROUPS - 1) * np.var(left_out)))
    return Interval(value, value - Z * error, value + Z * error)


def _intercept(
    sets: tuple[NDArray[np.float64], NDArray[np.float64]],
    orders: list[tuple[Rows, Rows]],
    groups: tuple[Rows, Rows],
    without: int | None,
) -> float:
    """The line's value at 1/n = 0, from mean distances of sets divided into 1 … PARTS parts."""

    def part_moments(which: int, order: Rows, m: int) -> list[Moments]:
        # dividing first and leaving out then keeps the divisions of all jackknife replicates the same
        parts = np.array_split(order, m)
        if without is not None:
            parts = [part[groups[which][part] != without] for part in parts]
        return [moments(sets[which][part]) for part in parts]

    distances = np.empty(PARTS)
    for m in range(1, PARTS + 1):
        of_parts = [
            frechet(a, b)
            for real_order, generated_order in (orders[:1] if m == 1 else orders)
            for a, b in zip(part_moments(0, real_order, m), part_moments(1, generated_order, m), strict=True)
        ]
        distances[m - 1] = np.mean(of_parts)
    return float(np.polynomial.polynomial.polyfit(np.arange(1, PARTS + 1), distances, 1)[0])
