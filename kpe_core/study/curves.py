"""What a curve of time given by a user must satisfy, and where it first fails: schedules γ(t) and gains η(t)."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kpe_core.errors import UserError
from kpe_core.study.formula import parse

Array = NDArray[np.float64]
Curve = Callable[[Array], Array]

GRID = 2000
END_TOLERANCE = 1e-9
"""Of γ(0) = 0 and γ(1) = 1."""
RATE_TOLERANCE = 1e-6
"""Of γ̇ against the numerical derivative of γ, relative to the largest |γ̇| (at least 1)."""

TOUCH = 1e-12
"""A dip of η this low touches zero, but for rounding."""


def require_schedule(gamma: Curve, rate: Curve) -> None:
    """Refuse a schedule that no bridge can have, or whose derivative is not the one given (METHOD §1).

    On a grid of 2001 times: γ and γ̇ finite, γ(0) = 0 and γ(1) = 1 (to 1e-9), γ increasing, and γ̇ the derivative of γ
    by one-sided differences of order 8 (to 1e-6 of its largest value, 1e-4 at 0 and 1; either side will do, so that γ̇
    may jump).

    Raises
    ------
    UserError
        names the first t that fails and the values there.
    """
    t = np.linspace(0.0, 1.0, GRID + 1)
    g, r = gamma(t), rate(t)
    for name, values in (("gamma", g), ("rate", r)):
        if (bad := ~np.isfinite(values)).any():
            raise UserError(f"{name} is {values[bad][0]} at t = {t[bad][0]:g}; it must be finite on [0, 1]")
    if abs(g[0]) > END_TOLERANCE or abs(g[-1] - 1.0) > END_TOLERANCE:
        raise UserError(f"gamma(0) = {g[0]:g} and gamma(1) = {g[-1]:g}; a bridge needs gamma(0) = 0 and gamma(1) = 1")
    if (flat := np.diff(g) <= 0.0).any():
        i = int(np.argmax(flat))
        raise UserError(
            f"gamma does not increase between t = {t[i]:g} ({g[i]:.6g}) and t = {t[i + 1]:g} ({g[i + 1]:.6g}); "
            "it must increase from 0 to 1"
        )
    tolerance = RATE_TOLERANCE * max(1.0, np.abs(r).max())
    measured = _derivative(gamma, t, r)
    if (wrong := np.abs(measured - r) > tolerance).any():
        i = int(np.argmax(wrong))
        raise UserError(
            f"rate is not the derivative of gamma: at t = {t[i]:g} rate gives {r[i]:.8g}, gamma's slope is "
            f"{measured[i]:.8g}; give the derivative d(gamma)/dt"
        )
    jump = np.abs(np.diff(g) - 0.5 * (r[1:] + r[:-1]) / GRID)
    if (jump > np.abs(r).max() / GRID).any():
        i = int(np.argmax(jump))
        raise UserError(f"gamma jumps between t = {t[i]:g} and t = {t[i + 1]:g}; it must be continuous")


def _derivative(curve: Curve, t: Array, near: Array) -> Array:
    """Slope at ``t``, from the left or the right, whichever is nearer to ``near``; from inside at 0 and 1.

    The steps shrink towards the ends, so that powers such as t**1.5 lose nothing there.
    """
    offsets = np.arange(9.0)
    weights = np.linalg.solve(np.vander(offsets, increasing=True).T, np.eye(9)[1])
    inner = t[1:-1]
    h = np.minimum(0.25 / GRID, np.minimum(inner, 1.0 - inner) / 16.0)
    sides = [curve(inner + sign * h * offsets[:, None]).T @ weights / (sign * h) for sign in (1.0, -1.0)]
    best = np.where(np.abs(sides[0] - near[1:-1]) <= np.abs(sides[1] - near[1:-1]), *sides)
    return np.concatenate([[_end_slope(curve, 0.0, near[0])], best, [_end_slope(curve, 1.0, near[-1])]])


def _end_slope(curve: Curve, end: float, near: float) -> float:
    """Slope at an end by Richardson's extrapolation; ``near`` itself where they agree to 1e-4, which a t**1.5 needs."""
    h = 1e-4 * np.array([1.0, 0.5, 0.25, 0.125]) ** 3
    inside = 1.0 if end == 0.0 else -1.0
    values = curve(np.concatenate([[end], end + inside * h]))
    slopes = inside * (values[1:] - values[0]) / h
    slope = float(slopes[-1] + (slopes[-1] - slopes[-2]) / 7.0)
    return near if abs(slope - near) <= 1e-4 * max(1.0, abs(near)) + 0.5 * abs(slopes[-1] - slopes[-2]) else slope


def require_increasing(coefficients: Sequence[float]) -> None:
    """Refuse Σ c_i tⁱ (i from 1) unless it rises from 0 to 1 on [0, 1]: its slope's least value lies at a root of γ̈.

    Raises
    ------
    UserError
        names where it falls, or the sum of the coefficients.
    """
    total = math.fsum(coefficients)
    if abs(total - 1.0) > END_TOLERANCE:
        raise UserError(f"coefficients {list(coefficients)} sum to {total:g}; gamma(1) = 1 needs them to sum to 1")
    slope = np.polynomial.Polynomial([0.0, *coefficients]).deriv()
    # A leading coefficient this small moves nothing on [0, 1], and dividing by it would overflow.
    bend = slope.deriv().trim(1e-15 * np.abs(slope.coef).max())
    roots = np.atleast_1d(bend.roots()) if bend.degree() > 0 else np.empty(0)
    turning = roots.real[(np.abs(roots.imag) < 1e-6) & (roots.real > 0.0) & (roots.real < 1.0)]
    where = np.concatenate([[0.0, 1.0], turning])
    least = int(np.argmin(slope(where)))
    if slope(where)[least] < -1e-10 * np.abs(slope.coef).max():
        raise UserError(
            f"coefficients {list(coefficients)}: gamma falls at t = {where[least]:.6g} (slope "
            f"{slope(where)[least]:.4g}); it must increase from 0 to 1"
        )


def require_landing(form: str, beta0: float, tau: float, rate: float) -> None:
    """Refuse a soft landing whose η = 1 − β(t) reaches zero before t = 1 (METHOD §4). At t = 1 it may.

    Raises
    ------
    UserError
        names that t, and the largest ``beta0`` allowed.
    """
    limit = 1.0 / math.expm1(rate) if form == "exponential" else 1.0
    if beta0 < limit or (beta0 == limit and form != "constant"):
        return
    share = {"exponential": math.log1p(1.0 / beta0) / rate, "linear": 1.0 / beta0, "constant": 0.0}[form]
    raise UserError(
        f"beta0 = {beta0:g} with {form} landing brings η(t) to zero at t = {tau + (1.0 - tau) * share:.6g}, which stops "
        f"or reverses the motion before t = 1; allowed: 0 ≤ beta0 {'<' if form == 'constant' else '≤'} {limit:.4f}"
    )


def require_gain_table(table: Sequence[tuple[float, float]]) -> None:
    """Refuse a table of (t, η) unless t increases from 0 to 1 and η, linear between, is positive before t = 1.

    Raises
    ------
    UserError
        names the row, or the t at which η reaches zero.
    """
    t, eta = zip(*table, strict=True)
    if len(t) < 2 or t[0] != 0.0 or t[-1] != 1.0 or any(a >= b for a, b in pairwise(t)):
        raise UserError(f"the table of eta has its times at {list(t)}; they must increase from 0 to 1")
    if eta[0] <= 0.0:
        raise UserError(_stops(0.0, eta[0]))
    for (t0, eta0), (t1, eta1) in pairwise(table):
        if eta1 < 0.0 or (eta1 == 0.0 and t1 < 1.0):
            raise UserError(_stops(t0 + (t1 - t0) * eta0 / (eta0 - eta1)))


def require_gain(eta: Curve) -> None:
    """Refuse a gain η(t) that is not finite on [0, 1], or not positive before t = 1; η(1) = 0 is allowed.

    Looked at on a grid of 2001 times, and ever closer about each of its least values.

    Raises
    ------
    UserError
        names the first t at which η reaches zero, found by bisection.
    """
    t = np.linspace(0.0, 1.0, GRID + 1)
    values = eta(t)
    if (bad := ~np.isfinite(values)).any():
        raise UserError(f"eta is {values[bad][0]} at t = {t[bad][0]:g}; it must be finite on [0, 1]")
    # A dip may touch zero between two times of the grid; one higher than a whole step of η cannot.
    reach = 2.0 * np.abs(np.diff(values)).max()
    before, here, after = values[:-2], values[1:-1], values[2:]
    dip = (here <= before) & (here <= after) & ((here < before) | (here < after)) & (here > 0.0) & (here < reach)
    dips = np.flatnonzero(dip) + 1
    lows = np.array([_lowest(eta, t[i - 1], t[i + 1]) for i in dips])
    t = np.concatenate([t, lows])
    values = np.concatenate([values, np.where(eta(lows) <= TOUCH, 0.0, eta(lows))])
    order = np.argsort(t)
    t, values = t[order], values[order]
    stopped = ((values <= 0.0) & (t < 1.0)) | (values < 0.0)
    if not stopped.any():
        return
    i = int(np.argmax(stopped))
    if i == 0:
        raise UserError(_stops(0.0, float(values[0])))
    low, high = float(t[i - 1]), float(t[i])
    while low < (middle := 0.5 * (low + high)) < high:
        low, high = (low, middle) if eta(np.array([middle]))[0] <= 0.0 else (middle, high)
    raise UserError(_stops(high))


def _lowest(eta: Curve, low: float, high: float) -> float:
    """Time of η's least value between two times, by narrowing the grid."""
    for _ in range(10):
        t = np.linspace(low, high, 51)
        i = int(np.argmin(eta(t)))
        low, high = t[max(i - 1, 0)], t[min(i + 1, 50)]
    return float(t[i])


def is_one(eta: str | Sequence[tuple[float, float]]) -> bool:
    """Whether a given gain is 1 throughout, which is no shaping at all."""
    if isinstance(eta, str):
        return bool((parse(eta)(np.linspace(0.0, 1.0, GRID + 1)) == 1.0).all())
    return all(value == 1.0 for _, value in eta)


def _stops(t: float, eta: float = 0.0) -> str:
    return (
        f"eta is {eta:g} at t = {t:.6g}; it must be positive for every t < 1, since zero stops the motion and "
        "less reverses it"
    )
