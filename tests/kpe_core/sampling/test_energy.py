"""Energies of a path from what its steps spent: identities on any grid, closed forms, SciPy's quadratures."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import integrate

from kpe_core.sampling.energy import Energies, Spent, energies
from kpe_core.sampling.grids import time_grid

STEPS = 6
Array = np.ndarray
GRIDS = arrays(np.float64, STEPS, elements=st.floats(0.01, 1)).map(lambda dt: np.append(0.0, np.cumsum(dt) / dt.sum()))
GAINS = arrays(np.float64, STEPS + 1, elements=st.floats(0, 3))
POWERS = arrays(np.float64, (2, STEPS + 1), elements=st.floats(0, 100))
TAUS = st.floats(0.01, 0.99)


def euler(power: Array, times: Array, eta: Array, split: float = 0.6) -> Energies:
    """Of powers (B, n + 1), as Euler spends them."""
    dt = np.diff(times)
    raw, moved = power[:, :-1] * dt / 2, power[:, :-1] * eta[:-1] ** 2 * dt / 2
    spent = Spent(power[:, :-1], moved, raw, np.sqrt(power[:, :-1]) * eta[:-1] * dt, power[:, -1])
    return energies(spent, np.zeros(len(power)), times, eta, split, order=1)


def curve(power: Callable[[Array], Array], times: Array, rule: str, split: float = 0.6) -> Energies:
    """Of a power known at all times, spent by the quadrature that a solver would use."""
    p, dt, middle = power(times), np.diff(times), power(0.5 * (times[1:] + times[:-1]))
    by_rule = {
        "euler": p[:-1],
        "midpoint": middle,
        "heun": (p[:-1] + p[1:]) / 2,
        "rk4": (p[:-1] + 4 * middle + p[1:]) / 6,
    }
    energy = (0.5 * dt * by_rule[rule])[None]
    order = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4}[rule]
    spent = Spent(p[None, :-1], energy, energy, energy, p[-1:])
    return energies(spent, np.zeros(1), times, np.ones_like(times), split, order)


@given(power=POWERS, times=GRIDS, eta=GAINS, tau=TAUS)
@settings(deadline=None, max_examples=60)
def test_early_and_late_make_the_whole(power: Array, times: Array, eta: Array, tau: float) -> None:
    e = euler(power, times, eta, tau)
    assert e.kpe_early + e.kpe_late == pytest.approx(e.kpe, rel=1e-12, abs=1e-12)
    assert np.all(e.kpe_early >= 0)
    assert np.all(e.kpe_late >= -1e-12)


@given(power=POWERS, times=GRIDS, eta=GAINS, tau=TAUS)
@settings(deadline=None, max_examples=60)
def test_eulers_split_is_exact_anywhere(power: Array, times: Array, eta: Array, tau: float) -> None:
    """Its velocity is constant within a step: cutting the step at τ changes nothing but where it is counted."""
    at = np.searchsorted(times, tau, side="left")
    cut, steps = np.insert(times, at, tau), np.insert(power * eta**2, at, (power * eta**2)[:, at - 1], axis=1)
    spent = 0.5 * steps[:, :-1] * np.diff(cut)
    assert euler(power, times, eta, tau).kpe_early == pytest.approx(spent[:, :at].sum(axis=1), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("steps", [1, 3, 5, 7, 100])
@pytest.mark.parametrize("rule", ["euler", "midpoint", "heun", "rk4"])
def test_default_split_of_a_constant_power_is_three_fifths(steps: int, rule: str) -> None:
    e = curve(lambda t: np.full_like(t, 3.0), time_grid("uniform", steps), rule)
    assert (e.kpe_early / e.kpe).item() == pytest.approx(0.6, abs=1e-15)


@pytest.mark.parametrize("tau", [1 / 3, 0.37, 0.6])
def test_split_between_grid_points_is_of_third_order(tau: float) -> None:
    """A step's energy is its solver's; the share of it before τ runs with the power's straight line."""
    truth = 0.5 * (np.exp(2 * tau) - 1) / 2
    errors = []
    for steps in (7, 28, 112):
        error = 0.0
        for shift in np.linspace(0, 1, 12):  # of the grid against τ, since the error vanishes at three places of a step
            times = np.linspace(0, 1, steps + 1)
            times[1:-1] += (shift - 0.5) / steps
            p, whole = np.exp(2 * times), 0.25 * np.diff(np.exp(2 * times))
            spent = Spent(p[None, :-1], whole[None], whole[None], whole[None], p[-1:])
            e = energies(spent, np.zeros(1), times, np.ones_like(times), tau, order=4)
            error = max(error, abs(e.kpe_early.item() - truth))
        errors.append(error)
    assert np.log(errors[1] / errors[2]) / np.log(4) == pytest.approx(3, abs=0.5)
    assert errors[2] < 1e-6


@given(power=POWERS, times=GRIDS, eta=GAINS)
@settings(deadline=None, max_examples=60)
def test_sums_over_the_grid_are_scipys(power: Array, times: Array, eta: Array) -> None:
    e, effective = euler(power, times, eta), power * eta**2
    assert e.kpe_trapezoid == pytest.approx(0.5 * integrate.trapezoid(effective, times, axis=1), rel=1e-12, abs=1e-12)
    assert e.kpe_simpson == pytest.approx(0.5 * integrate.simpson(effective, x=times, axis=1), rel=1e-9, abs=1e-9)
    assert e.kpe_left == pytest.approx(e.kpe, rel=1e-12, abs=1e-12)
    assert e.kpe_raw == pytest.approx(0.5 * power[:, :-1] @ np.diff(times), rel=1e-12, abs=1e-12)


@given(c=st.lists(st.floats(0, 5), min_size=4, max_size=4), steps=st.integers(1, 12))
@settings(deadline=None, max_examples=40)
def test_sums_are_exact_for_their_polynomials(c: list[float], steps: int) -> None:
    """Left for constants, trapezoid for lines, Simpson for cubics on an even number of equal steps."""
    times = time_grid("uniform", 2 * steps)

    def energy(degree: int) -> Energies:
        return curve(lambda t: np.polyval(c[: degree + 1], t), times, "euler")

    def truth(degree: int) -> float:
        return 0.5 * float(np.polyval(np.polyint(c[: degree + 1]), 1.0))

    assert energy(0).kpe_left == pytest.approx(truth(0), rel=1e-12, abs=1e-14)
    assert energy(1).kpe_trapezoid == pytest.approx(truth(1), rel=1e-12, abs=1e-14)
    assert energy(3).kpe_simpson == pytest.approx(truth(3), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("rule", ["euler", "midpoint", "heun"])
@pytest.mark.parametrize("grid", ["uniform", "cosine"])
@pytest.mark.parametrize("steps", [10, 25, 100])
def test_error_estimate_is_the_error_within_a_factor_2(rule: str, grid: str, steps: int) -> None:
    e = curve(lambda t: np.exp(2 * t) + t**3, time_grid(grid, steps), rule)  # type: ignore[arg-type]
    error = abs(e.kpe.item() - 0.5 * ((np.exp(2) - 1) / 2 + 0.25))
    assert 0.5 * error < e.kpe_error.item() < 2 * error


def test_by_hand() -> None:
    """Two steps of ½: powers 4 and 2 under gains 1 and ½, 8 at t = 1 where the gain is 1."""
    e = euler(np.array([[4.0, 2.0, 8.0]]), np.array([0.0, 0.5, 1.0]), np.array([1.0, 0.5, 1.0]), 0.75)
    assert e.kpe_raw.tolist() == [0.5 * (4 * 0.5 + 2 * 0.5)]
    assert e.kpe.tolist() == [0.5 * (4 * 0.5 + 0.25 * 2 * 0.5)]
    assert e.kpe_early.tolist() == [0.5 * (4 * 0.5 + 0.25 * 2 * 0.25)]
    assert e.kpe_late.tolist() == [0.5 * 0.25 * 2 * 0.25]
    assert e.kpe_trapezoid.tolist() == [0.5 * 0.5 * (2 + 0.5 + 4)]
    assert e.kpe_simpson == pytest.approx([0.5 * (4 + 4 * 0.5 + 8) / 6])
    assert e.kpe_error.tolist() == [abs(1.125 - 1.625)]
    assert (e.peak_power.tolist(), e.peak_t.tolist()) == ([4.0], [0.0])


def test_peak_is_of_the_effective_power_before_the_end() -> None:
    """Raw power peaks last; the gain moves the peak to the middle step. At t = 1 nothing moves any more."""
    times, eta = np.array([0.0, 0.2, 0.7, 1.0]), np.array([1.0, 1.0, 0.5, 0.5])
    e = euler(np.array([[1.0, 4.0, 5.0, 99.0]]), times, eta)
    assert (e.peak_power.tolist(), e.peak_t.tolist()) == ([4.0], [0.2])


def test_straightness() -> None:
    """displacement²/(2E): a straight walk, half a detour, and no walk at all."""
    energy = np.array([[0.25, 0.25], [0.5, 0.5], [0.0, 0.0]])
    spent = Spent(4 * energy, energy, energy, energy, np.zeros(3))
    e = energies(spent, np.array([1.0, 1.0, 0.0]), np.array([0, 0.5, 1]), np.ones(3), 0.6, order=1)
    assert e.straightness.tolist() == [1.0, 0.5, 1.0]
