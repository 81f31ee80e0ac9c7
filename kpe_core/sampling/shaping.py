"""Kinetic trajectory shaping: the gain η(t) that multiplies the velocity ([KE] §6; METHOD §4)."""

import math
from typing import overload

import numpy as np
from numpy.typing import NDArray

from kpe_core.study.formula import parse
from kpe_core.study.specs import ShapingSpec


@overload
def gain(spec: ShapingSpec, t: float) -> float: ...
@overload
def gain(spec: ShapingSpec, t: NDArray[np.float64]) -> NDArray[np.float64]: ...
def gain(spec: ShapingSpec, t: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
    """η(t): 1 + α(t) before τ (launch), 1 − β(t) from τ on (soft landing), or what the user gave.

    A float for a float ``t`` in [0, 1]; for an array, an array of its shape with the same bits, item by item.
    """
    if isinstance(t, np.ndarray):
        return np.array([_gain(spec, s) for s in t.ravel().tolist()], dtype=np.float64).reshape(t.shape)
    return _gain(spec, t)


def breaks(spec: ShapingSpec) -> tuple[float, ...]:
    """Times inside (0, 1), in order, at which η or one of its derivatives may jump."""
    if isinstance(spec.eta, str):
        return parse(spec.eta).breaks
    if spec.eta is not None:
        return tuple(t for t, _ in spec.eta[1:-1])
    return () if spec.is_plain else (spec.tau,)


def landing_exponent(spec: ShapingSpec) -> float:
    """c = 1 − η(1): near its atom a shaped particle of an exact field has v ~ (1 − t)^−c (METHOD §7; linear bridge).

    c = β₀(eᵏ − 1) for the exponential landing, β₀ for the others; negative where a given η ends above 1.
    """
    return 1.0 - _gain(spec, 1.0) if spec.eta is not None else _landing(spec, 1.0)


def landing_limit(closing_order: float = 1.0) -> float:
    """The landing c = 1 − η(1) from which on paths on an exact field have unbounded energy, more with every step added.

    Where the bridge closes like σ ~ (1 − t)^q, u = x_k − x obeys du/dσ = η u/σ, so v = γ̇u/σ ~ (1 − t)^(q(1 − c) − 1) and
    ∫‖v‖² diverges when 2q(1 − c) ≤ 1: from c = 1 − 1/(2q), ½ for the linear bridge (METHOD §7). ``closing_order`` is q
    (:attr:`Bridge.closing_order`).
    """
    return 1.0 - 0.5 / closing_order


def _gain(spec: ShapingSpec, t: float) -> float:
    if isinstance(spec.eta, str):
        return max(0.0, parse(spec.eta)(t))
    if spec.eta is not None:
        times, values = zip(*spec.eta, strict=True)
        return float(np.interp(t, times, values))
    # Rounding may carry a landing that ends at zero below it.
    return 1.0 + _launch(spec, t) if t < spec.tau else max(0.0, 1.0 - _landing(spec, t))


def _launch(spec: ShapingSpec, t: float) -> float:
    remaining = 1.0 - t / spec.tau
    match spec.launch:
        case "linear":
            return spec.alpha0 * remaining
        case "constant":
            return spec.alpha0
        case "exponential":
            return spec.alpha0 * (math.expm1(spec.rate * remaining) / math.expm1(spec.rate))


def _landing(spec: ShapingSpec, t: float) -> float:
    r = (t - spec.tau) / (1.0 - spec.tau)
    match spec.landing:
        case "exponential":
            return spec.beta0 * math.expm1(spec.rate * r)
        case "linear":
            return spec.beta0 * r
        case "constant":
            return spec.beta0
