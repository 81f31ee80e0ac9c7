"""Gaussian data, where everything is known: the field, its paths, their energy. Orders of convergence are measured."""

import numpy as np
import pytest
import torch
from scipy import integrate

from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.path import Path
from kpe_core.sampling.sampler import Course
from tests.kpe_core.sampling.known import MU, X0, Formula, Grid, S, course, gaussian_energy, gaussian_flow, walk

ORDERS = [("euler", 1, 200), ("midpoint", 2, 100), ("heun", 2, 100), ("heun_ke", 2, 100), ("rk4", 4, 160)]
START = torch.from_numpy(X0)


def flow(solver: str, steps: int, grid: Grid = "uniform") -> Path:
    return walk(Formula(gaussian_flow), course(solver, steps, grid), START)


@pytest.mark.parametrize("upto", [0.25, 0.6, 1.0])
def test_closed_form_energy_is_the_integral(upto: float) -> None:
    def power(t: float) -> float:
        sigma_dot = (t * S**2 - (1 - t)) / np.sqrt((t * S) ** 2 + (1 - t) ** 2)
        return float(np.square(MU + sigma_dot * X0[0]).sum())

    assert gaussian_energy(X0[:1], upto)[0] == pytest.approx(0.5 * integrate.quad(power, 0, upto)[0], rel=1e-10)


@pytest.mark.parametrize("grid", ["uniform", "cosine"])
@pytest.mark.parametrize(("solver", "order", "steps"), ORDERS)
def test_endpoint_and_energy_converge_at_the_solvers_order(solver: str, order: int, steps: int, grid: Grid) -> None:
    coarse, fine = (flow(solver, n, grid) for n in (steps, 2 * steps))
    end, energy = MU + S * X0, gaussian_energy(X0)
    ends = [np.abs(path.x1.numpy() - end).max() for path in (coarse, fine)]
    energies = [np.abs(path.energies.kpe - energy).max() for path in (coarse, fine)]
    # On this linear flow the midpoint rule ends an order better than it must.
    assert np.log2(ends[0] / ends[1]) == pytest.approx(3 if solver == "midpoint" else order, abs=0.15)
    assert np.log2(energies[0] / energies[1]) == pytest.approx(order, abs=0.15)
    assert ends[1] < 0.01
    assert energies[1] < 0.02 * energy.mean()


@pytest.mark.parametrize(("solver", "order", "steps"), ORDERS)
def test_so_they_do_under_a_smooth_gain(solver: str, order: int, steps: int) -> None:
    """Whether η multiplies stage by stage or, as in [KE], on the mean."""

    def shaped(name: str, n: int) -> Path:
        return walk(
            Formula(gaussian_flow), Course(time_grid("uniform", n), lambda t: 1 + 0.3 * np.cos(4 * t), name), START
        )

    coarse, fine, truth = shaped(solver, steps), shaped(solver, 2 * steps), shaped("rk4", 1500)
    ends = [np.abs((path.x1 - truth.x1).numpy()).max() for path in (coarse, fine)]
    energies = [np.abs(path.energies.kpe - truth.energies.kpe).max() for path in (coarse, fine)]
    assert np.log2(ends[0] / ends[1]) == pytest.approx(order, abs=0.2)
    assert np.log2(energies[0] / energies[1]) == pytest.approx(order, abs=0.25)


def test_early_energy_is_the_integral_up_to_the_split() -> None:
    path = flow("rk4", 100)
    assert path.energies.kpe_early == pytest.approx(gaussian_energy(X0, 0.6), rel=1e-7)
    assert path.energies.kpe_late == pytest.approx(gaussian_energy(X0) - gaussian_energy(X0, 0.6), rel=1e-6)


@pytest.mark.parametrize("solver", ["midpoint", "heun", "rk4"])
def test_sums_over_the_grid_converge_at_their_own_order(solver: str) -> None:
    """Left at 1, trapezoid at 2, whatever the path beneath them; Simpson at the path's."""
    truth, paths = gaussian_energy(X0), {"midpoint": 3, "heun": 2, "rk4": 4}
    coarse, fine = (flow(solver, n).energies for n in (40, 80))
    for name, order in (("kpe_left", 1), ("kpe_trapezoid", 2), ("kpe_simpson", paths[solver])):
        errors = [np.abs(getattr(e, name) - truth).max() for e in (coarse, fine)]
        assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.25), name


def test_error_estimate_sees_eulers_quadrature() -> None:
    """|left − trapezoid| is the left sum's own error, to first order, on the path that was followed."""
    path = flow("euler", 400)
    power = np.column_stack([path.spent.power, path.spent.end_power])
    along = 0.5 * integrate.simpson(power, dx=1 / 400, axis=1)
    assert path.energies.kpe_error == pytest.approx(np.abs(path.energies.kpe - along), rel=0.1, abs=1e-4)


def test_energy_never_undercuts_the_straight_line() -> None:
    """E ≥ ½‖x(1) − x(0)‖² (Benamou–Brenier), with room: these paths bend in time."""
    e = flow("rk4", 100).energies
    assert np.all(e.kpe > 0.5 * e.displacement**2)
    assert np.all(e.straightness < 1)
