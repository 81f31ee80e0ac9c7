"""Kinetic path energy and its companions, from the power of every step.

With pᵢ = ‖v(x_i, t_i)‖² and gain ηᵢ, the energy that moved the particle is the left Riemann sum
E = ½ Σ ηᵢ² pᵢ Δtᵢ over the solver's own grid ([KE]; METHOD §2).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Energies:
    """One value a sample, (B,) float64. Units: squared data coordinates per unit time (energies, power), or t."""

    kpe: Array
    """Effective: ½∫‖ηv‖²."""
    kpe_raw: Array
    """½∫‖v‖²."""
    kpe_early: Array
    """Effective, t < τ."""
    kpe_late: Array
    """Effective, t ≥ τ; early + late = kpe."""
    kpe_error: Array
    """|fine − coarse|, the coarse sum over every second node: the left sum's own error to first order. It does not see
    the error of the path itself."""
    peak_power: Array
    """Largest ‖ηv‖²."""
    peak_t: Array


def energies(power: Array, times: Array, eta: Array, split: float) -> Energies:
    """From power (B, n), grid (n + 1,), gains (n + 1,) and the split τ, which may lie between grid points."""
    dt = np.diff(times)
    effective = power * eta[:-1] ** 2
    early_dt = np.clip(split - times[:-1], 0.0, dt)
    kpe = 0.5 * effective @ dt
    early = 0.5 * effective @ early_dt
    peak = effective.argmax(axis=1)
    return Energies(
        kpe=kpe,
        kpe_raw=0.5 * power @ dt,
        kpe_early=early,
        kpe_late=kpe - early,
        kpe_error=np.abs(kpe - 0.5 * effective[:, ::2] @ _coarse_steps(times)),
        peak_power=np.take_along_axis(effective, peak[:, None], axis=1)[:, 0],
        peak_t=times[peak],
    )


def _coarse_steps(times: Array) -> Array:
    """Durations when only every second node is kept (and t = 1)."""
    kept = times[:-1][::2]
    return np.diff(np.append(kept, times[-1]))
