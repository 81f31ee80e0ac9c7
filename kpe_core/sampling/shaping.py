"""Kinetic trajectory shaping: the gain η(t) that multiplies the velocity ([KE] §6; METHOD §4)."""

import numpy as np
from numpy.typing import NDArray

from kpe_core.study.specs import ShapingSpec


def gain(spec: ShapingSpec, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """η(t), same shape as ``t``: 1 + α(t) before τ (launch), 1 − β(t) from τ on (soft landing)."""
    return np.where(t < spec.tau, 1.0 + _launch(spec, t), 1.0 - _landing(spec, t))


def _launch(spec: ShapingSpec, t: NDArray[np.float64]) -> NDArray[np.float64]:
    remaining = np.clip(1.0 - t / spec.tau, 0.0, 1.0)
    match spec.launch:
        case "linear":
            return spec.alpha0 * remaining
        case "constant":
            return np.full_like(t, spec.alpha0)
        case "exponential":
            return spec.alpha0 * np.expm1(spec.rate * remaining) / np.expm1(spec.rate)


def _landing(spec: ShapingSpec, t: NDArray[np.float64]) -> NDArray[np.float64]:
    r = np.clip((t - spec.tau) / (1.0 - spec.tau), 0.0, 1.0)
    match spec.landing:
        case "exponential":
            return spec.beta0 * np.expm1(spec.rate * r)
        case "linear":
            return spec.beta0 * r
        case "constant":
            return np.full_like(t, spec.beta0)
