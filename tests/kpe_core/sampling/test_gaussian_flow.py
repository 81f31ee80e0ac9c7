"""Gaussian data, where everything is known: the field, its paths, their energy. Orders of convergence are measured.

For data N(μ, s² I), x_t is N(t μ, σ² I) with σ² = t² s² + (1 − t)², and E[x1 − x0 | x_t = x] is linear in x:

    v(x, t) = μ + σ̇/σ (x − t μ),   x(t) = t μ + σ x0,   x(1) = μ + s x0,
    E(x0) = ½ ∫ ‖μ + σ̇ x0‖² dt = ½ (‖μ‖² + 2 (s − 1) μ·x0 + ‖x0‖² (1 + s² − π s/2)).
"""

from typing import Literal

import numpy as np
import pytest
import torch
from scipy import integrate
from torch import Tensor

from kpe_core.fields.base import Evaluation
from kpe_core.sampling.energy import energies
from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.noise import initial_noise
from kpe_core.sampling.sampler import trajectory

MU = np.array([1.5, -0.5])
S = 0.4
X0 = initial_noise(1, 0, 50, 2)


class GaussianField:
    dtype = torch.float64
    singular_at_one = False

    def evaluate(self, x: Tensor, t: float, label: Tensor | None) -> Evaluation:
        mu = torch.from_numpy(MU)
        variance = (t * S) ** 2 + (1 - t) ** 2
        return Evaluation(mu + (t * S**2 - (1 - t)) / variance * (x - t * mu))


def endpoint_and_energy(
    solver: Literal["euler", "heun"], steps: int, grid: Literal["uniform", "cosine"] = "uniform"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    times, eta = time_grid(grid, steps), np.ones(steps + 1)
    taken = list(trajectory(GaussianField(), torch.from_numpy(X0), None, times, eta, solver))
    e = energies(torch.stack([s.power for s in taken], dim=1).numpy(), times, eta, 0.6)
    return taken[-1].state.numpy(), e.kpe, e.kpe_error


def true_energy(x0: np.ndarray) -> np.ndarray:
    spread = 1 + S**2 - np.pi * S / 2
    return 0.5 * (MU @ MU + 2 * (S - 1) * (x0 @ MU) + np.square(x0).sum(axis=1) * spread)


def test_closed_form_energy_is_the_integral() -> None:
    def power(t: float) -> float:
        sigma_dot = (t * S**2 - (1 - t)) / np.sqrt((t * S) ** 2 + (1 - t) ** 2)
        return float(np.square(MU + sigma_dot * X0[0]).sum())

    assert true_energy(X0[:1])[0] == pytest.approx(0.5 * integrate.quad(power, 0, 1)[0], rel=1e-10)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
@pytest.mark.parametrize("grid", ["uniform", "cosine"])
def test_endpoint_converges_at_the_solvers_order(
    solver: Literal["euler", "heun"], order: int, grid: Literal["uniform", "cosine"]
) -> None:
    truth = MU + S * X0
    error = [np.abs(endpoint_and_energy(solver, n, grid)[0] - truth).max() for n in (200, 400)]
    assert np.log2(error[0] / error[1]) == pytest.approx(order, abs=0.1)
    assert error[1] < 0.01


@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_energy_converges_at_first_order(solver: Literal["euler", "heun"]) -> None:
    """The left Riemann sum is of order 1, whatever the order of the path beneath it."""
    error = [np.abs(endpoint_and_energy(solver, n)[1] - true_energy(X0)).max() for n in (200, 400)]
    assert np.log2(error[0] / error[1]) == pytest.approx(1, abs=0.1)
    assert error[1] / true_energy(X0).mean() < 0.01


def test_error_estimate_sees_the_quadrature() -> None:
    """On an accurate path (Heun), |fine − coarse| is the left sum's own error to first order."""
    _, kpe, estimate = endpoint_and_energy("heun", 400)
    assert estimate == pytest.approx(np.abs(kpe - true_energy(X0)), rel=0.1, abs=1e-4)


def test_heun_energy_never_undercuts_the_straight_line() -> None:
    """E ≥ ½‖x(1) − x(0)‖² (Benamou–Brenier), with room: these paths bend in time."""
    x1, kpe, _ = endpoint_and_energy("heun", 200)
    assert np.all(kpe > 0.5 * np.square(x1 - X0).sum(axis=1))
