"""What the theory says of an exact-field run, and what the run shows, time by time.

**Posterior dominance.** The share of samples whose largest posterior weight exceeds ½, 0.9, 0.99.

**Theorem 4.2** ([KE]; METHOD §7), worked out. Where one weight is 1, say point k's, put z = (x − γ x_k)/σ. Then

    v* = γ̇ (x_k − x)/σ = γ̇ (x_k − z),      −log p_t(x) = ½‖z‖² + C,   C = log N + (d/2) log 2π + d log σ,

because x_k − x = σ x_k − σ z and the other points' terms vanish. Hence the identity

    ‖v*‖² = γ̇² (2(−log p_t) − 2C + ‖x_k‖² − 2 x_k·z),

so a regression of ‖v*‖² on −log p_t has slope 2γ̇² and intercept γ̇²(E‖x_k‖² − 2C) when x_k and z ~ N(0, I) are
independent; with Var ‖z‖² = 2d and Var(x_k·z) = E‖x_k‖² its share of explained variance is

    R² = 2d / (2d + 4 E‖x_k‖² + Var ‖x_k‖²).

"Affine" is therefore loose unless the data's norm is small against d.

**Lemma 5.1.** Near an atom m, d(m − x) = −η v dt = η (m − x) dσ/σ, so ‖m − x‖ ~ σ^η and ‖v‖/γ̇ ~ σ^−(1 − η): bounded
without shaping, growing under landing. Once 1 − η(1) > ½ the energy integral diverges (METHOD §7).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEVELS = (0.5, 0.9, 0.99)
GROWTH_FROM = 0.8
"""Share of the grid from which growth is fitted; its last two steps are left out, where the step is no longer small against
the time that is left."""


@dataclass(frozen=True)
class Regression:
    """Least squares of y on x, one per step; parts of the samples are added with ``+``. All (n_steps,) float64."""

    n: int
    mean_x: Array
    mean_y: Array
    xx: Array
    xy: Array
    yy: Array

    @classmethod
    def of(cls, x: Array, y: Array) -> "Regression":
        """From x, y (B, n_steps)."""
        mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
        dx, dy = x - mean_x, y - mean_y
        return cls(len(x), mean_x, mean_y, (dx * dx).sum(axis=0), (dx * dy).sum(axis=0), (dy * dy).sum(axis=0))

    def __add__(self, other: "Regression") -> "Regression":
        n = self.n + other.n
        dx, dy, w = other.mean_x - self.mean_x, other.mean_y - self.mean_y, self.n * other.n / n
        return Regression(
            n,
            self.mean_x + dx * other.n / n,
            self.mean_y + dy * other.n / n,
            self.xx + other.xx + w * dx * dx,
            self.xy + other.xy + w * dx * dy,
            self.yy + other.yy + w * dy * dy,
        )

    @property
    def slope(self) -> Array:
        """NaN where x does not vary."""
        return _ratio(self.xy, self.xx)

    @property
    def intercept(self) -> Array:
        return self.mean_y - self.slope * self.mean_x

    @property
    def r2(self) -> Array:
        """Share of y's variance explained; NaN where either does not vary."""
        return _ratio(self.xy**2, self.xx * self.yy)


def _ratio(a: Array, b: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(b > 0, a / b, np.nan)


@dataclass(frozen=True)
class Affine:
    """What Theorem 4.2 predicts of the regression of ‖v*‖² on −log p_t, at each time; (n_steps,) but for ``r2``."""

    slope: Array
    intercept: Array
    r2: float


def predicted(points: Array, log_n: float, sigma: Array, rate: Array) -> Affine:
    """From the training points (N, d), the (mean) logarithm of how many a sample competes for, and the bridge's σ and γ̇
    at each time (n_steps,)."""
    d = points.shape[1]
    norms = np.square(points).sum(axis=1, dtype=np.float64)
    c = log_n + 0.5 * d * math.log(2 * math.pi) + d * np.log(sigma)
    return Affine(
        slope=2.0 * rate**2,
        intercept=rate**2 * (norms.mean() - 2.0 * c),
        r2=float(2 * d / (2 * d + 4 * norms.mean() + norms.var())),
    )


def growth(power: Array, sigma: Array, rate: Array) -> Array:
    """Measured exponent c of ‖v‖/γ̇ ~ σ^−c over the end of each path: (B,).

    ``power`` ‖v‖² (B, n_steps) and the bridge's ``sigma`` and ``rate`` (n_steps,) at the steps' starts. NaN where fewer
    than three steps lie in the window.
    """
    window = growth_window(len(sigma))
    x = -np.log(sigma[window])
    with np.errstate(divide="ignore"):
        y = 0.5 * np.log(power[:, window]) - np.log(rate[window])
    return _slopes(x, y)


def predicted_growth(times: Array, eta: Array, sigma: Array, rate: Array, euler: bool) -> float:
    """The exponent that Lemma 5.1's argument gives over the same window, for the gains ``eta`` at ``times`` (n_steps,).

    An Euler step of length h takes m − x to (1 − ηγ̇h/σ)(m − x); better solvers follow ‖m − x‖ ~ σ^η.
    """
    window = growth_window(len(sigma))
    if euler:
        fall = np.log1p(-(eta * rate / sigma)[:-1] * np.diff(times))
    else:
        fall = 0.5 * (eta[1:] + eta[:-1]) * np.diff(np.log(sigma))
    gap = np.concatenate([[0.0], np.cumsum(fall)]) - np.log(sigma)
    return float(_slopes(-np.log(sigma[window]), gap[None, window])[0])


def growth_window(n_steps: int) -> slice:
    return slice(math.floor(GROWTH_FROM * n_steps), max(0, n_steps - 2))


def _slopes(x: Array, y: Array) -> Array:
    """Least-squares slope of each row of ``y`` (B, k) on ``x`` (k,)."""
    if len(x) < 3:
        return np.full(len(y), np.nan)
    dx = x - x.mean()
    return (y - y.mean(axis=1, keepdims=True)) @ dx / (dx @ dx)
