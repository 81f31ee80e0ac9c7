"""Kinetic path energy and its companions, from what every step of a path spent.

The energy that moved the particle is E = ½∫‖ηv‖² dt, added up by the solver's own quadrature: for Euler the left Riemann
sum ½ Σ ηᵢ² pᵢ Δtᵢ with pᵢ = ‖v(x_i, t_i)‖² ([KE]; METHOD §2), for the others the sum over their stages. Beside it stand the
trapezoid and Simpson sums over the grid's own powers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spent:
    """What a batch's paths spent, step by step. (B, n) float64 but for the last."""

    power: Array
    """‖v(x_i, t_i)‖² at each step's start."""
    energy: Array
    """½∫‖ηv‖² within each step, by the solver's quadrature."""
    energy_raw: Array
    """½∫‖v‖² within each step."""
    length: Array
    """Of the path within each step."""
    end_power: Array
    """‖v(x(1), 1)‖², (B,); the last step's power where the field is singular at t = 1."""


@dataclass(frozen=True)
class Energies:
    """One value a sample, (B,) float64. Units: squared data coordinates per unit time (energies), per unit time squared
    (powers), data coordinates (lengths), or t."""

    kpe: Array
    """Effective: ½∫‖ηv‖²."""
    kpe_raw: Array
    """½∫‖v‖²."""
    kpe_early: Array
    """Effective, t < τ."""
    kpe_late: Array
    """Effective, t ≥ τ; early + late = kpe."""
    kpe_left: Array
    """Effective, by the left Riemann sum over the grid, [KE]'s; Euler's kpe."""
    kpe_trapezoid: Array
    kpe_simpson: Array
    """Effective, by Simpson's rule on the (uneven) grid."""
    kpe_error: Array
    """Estimated quadrature error of kpe: its distance from the next better sum over the same path, the trapezoid's for
    Euler, Simpson's otherwise. It does not see the error of the path itself. Of the adaptive solver, whose own sum is
    better than any over the grid, it tells what the grid misses."""
    peak_power: Array
    """Largest ‖ηv‖² at a grid point before t = 1."""
    peak_t: Array
    path_length: Array
    displacement: Array
    """‖x(1) − x(0)‖."""
    straightness: Array
    """displacement² / (2 kpe), in [0, 1]: 1 for a straight path at constant speed (Benamou–Brenier). 1 where nothing
    moved."""


def energies(spent: Spent, displacement: Array, times: Array, eta: Array, split: float, order: int) -> Energies:
    """From the grid ``times`` and gains ``eta`` (n + 1,), the split τ anywhere in (0, 1), and the solver's order."""
    from scipy.integrate import simpson

    power = np.column_stack([spent.power, spent.end_power]) * eta**2
    kpe = spent.energy.sum(axis=1)
    early = (spent.energy * _share_before(split, times, power, order)).sum(axis=1)
    trapezoid = 0.25 * (power[:, :-1] + power[:, 1:]) @ np.diff(times)
    by_simpson = 0.5 * simpson(power, x=times, axis=1)
    peak = power[:, :-1].argmax(axis=1)
    with np.errstate(invalid="ignore"):
        straightness = np.where(kpe > 0, displacement**2 / (2 * kpe), 1.0)
    return Energies(
        kpe=kpe,
        kpe_raw=spent.energy_raw.sum(axis=1),
        kpe_early=early,
        kpe_late=kpe - early,
        kpe_left=0.5 * power[:, :-1] @ np.diff(times),
        kpe_trapezoid=trapezoid,
        kpe_simpson=by_simpson,
        kpe_error=np.abs(kpe - (trapezoid if order == 1 else by_simpson)),
        peak_power=np.take_along_axis(power, peak[:, None], axis=1)[:, 0],
        peak_t=times[peak],
        path_length=spent.length.sum(axis=1),
        displacement=displacement,
        straightness=straightness,
    )


def _share_before(split: float, times: Array, power: Array, order: int) -> Array:
    """Share of each step's energy spent before ``split``: 0, 1, and in between for the one step that contains it.

    There, Euler's velocity is constant; for other solvers the power runs linearly from one grid point to the next.
    """
    share = np.clip((split - times[:-1]) / np.diff(times), 0.0, 1.0)
    if order == 1:
        return share
    here, ahead = power[:, :-1], power[:, 1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        linear = (2 * here * share + (ahead - here) * share**2) / (here + ahead)
    return np.where((share > 0) & (share < 1) & (here + ahead > 0), linear, share)
