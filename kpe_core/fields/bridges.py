"""Bridges between noise and data: x_t = γ(t) x1 + (1 − γ(t)) x0 (METHOD §1)."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from typing import Generic, NamedTuple, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from kpe_core.study.curves import require_schedule
from kpe_core.study.formula import parse
from kpe_core.study.specs import BridgeSpec, CosineBridge, FormulaBridge, LinearBridge, PolynomialBridge

Array = NDArray[np.float64]
Value = TypeVar("Value", float, Array)


class Moment(NamedTuple, Generic[Value]):
    """A bridge at one time or many: floats for a float, float64 arrays of the times' shape for an array."""

    gamma: Value
    """γ(t), the share of data, in [0, 1]."""
    sigma: Value
    """σ = 1 − γ(t), the share of noise; keeps its relative precision as t → 1 where a closed form allows."""
    rate: Value
    """γ̇(t) ≥ 0."""


@dataclass(frozen=True)
class Bridge:
    """A schedule γ with γ(0) = 0, γ(1) = 1, increasing, and its derivative."""

    moments: Callable[[Array], tuple[Array, Array, Array]]
    """γ, σ and γ̇ at float64 times of any shape."""
    breaks: tuple[float, ...] = ()
    """Times inside (0, 1) at which γ̇ or one of its derivatives may jump."""

    @overload
    def at(self, t: float) -> Moment[float]: ...
    @overload
    def at(self, t: Array) -> Moment[Array]: ...
    def at(self, t: float | Array) -> Moment[float] | Moment[Array]:
        """The bridge at time(s) ``t`` in [0, 1]."""
        times = np.asarray(t, dtype=np.float64)
        gamma, sigma, rate = self.moments(times)
        if times.ndim == 0:
            return Moment(float(gamma), float(sigma), float(rate))
        return Moment(gamma, sigma, rate)

    @property
    def closing_order(self) -> float:
        """q of σ ~ (1 − t)^q as t → 1, from γ̇/σ ~ q/(1 − t): 1 for the linear bridge, 2 for the cosine one."""
        left = 1e-3
        at = self.at(1.0 - left)
        return left * at.rate / at.sigma


def bridge(spec: BridgeSpec) -> Bridge:
    """The bridge a spec names; the spec has been checked already."""
    match spec:
        case LinearBridge():
            return LINEAR
        case CosineBridge():
            return COSINE
        case PolynomialBridge():
            return _polynomial(spec.coefficients)
        case FormulaBridge():
            gamma, rate = parse(spec.gamma), parse(spec.rate)
            return _given(gamma, rate, tuple(sorted({*gamma.breaks, *rate.breaks})))


def checked(gamma: Callable[[Array], Array], rate: Callable[[Array], Array]) -> Bridge:
    """A bridge of your own functions, each from float64 times of any shape to values of that shape.

    Raises
    ------
    UserError
        unless γ(0) = 0, γ(1) = 1, γ increases, and ``rate`` is its derivative; names the t that fails
        (:func:`kpe_core.study.curves.require_schedule` states the tolerances).
    """
    require_schedule(gamma, rate)
    return _given(gamma, rate)


def _linear(t: Array) -> tuple[Array, Array, Array]:
    return t, 1.0 - t, np.ones_like(t)


def _cosine(t: Array) -> tuple[Array, Array, Array]:
    """γ = ½(1 − cos πt) = sin²(πt/2), σ = cos²(πt/2). Sines of 1 − t are exact at t = 1, where cosines of t are not."""
    rising, falling = np.sin(0.5 * np.pi * t), np.sin(0.5 * np.pi * (1.0 - t))
    return rising**2, falling**2, np.pi * rising * falling


def _polynomial(coefficients: tuple[float, ...]) -> Bridge:
    """γ = Σ c_i tⁱ. Past ½, σ is expanded in 1 − t, so that it vanishes at t = 1 without cancellation."""
    gamma = np.polynomial.Polynomial([0.0, *coefficients])
    rate = gamma.deriv()
    # 1 − γ(1 − u) = −Σ_j (−u)ʲ Σ_i c_i C(i, j) for j ≥ 1; its constant term is 1 − Σ c_i = 0.
    exact = [Fraction(0), *map(Fraction, coefficients)]
    around_one = [-((-1) ** j) * sum(c * comb(i, j) for i, c in enumerate(exact)) for j in range(1, len(exact))]
    sigma = np.polynomial.Polynomial([0.0, *map(float, around_one)])

    def moments(t: Array) -> tuple[Array, Array, Array]:
        early, late = gamma(t), sigma(1.0 - t)
        first_half = t < 0.5
        # Rounding may carry a slope that touches zero below it.
        slope = np.maximum(rate(t), 0.0)
        return np.where(first_half, early, 1.0 - late), np.where(first_half, 1.0 - early, late), slope

    return Bridge(moments)


def _given(gamma: Callable[[Array], Array], rate: Callable[[Array], Array], breaks: tuple[float, ...] = ()) -> Bridge:
    def moments(t: Array) -> tuple[Array, Array, Array]:
        g = np.clip(gamma(t), 0.0, 1.0)
        return g, 1.0 - g, np.maximum(rate(t), 0.0)

    return Bridge(moments, breaks)


LINEAR, COSINE = Bridge(_linear), Bridge(_cosine)
