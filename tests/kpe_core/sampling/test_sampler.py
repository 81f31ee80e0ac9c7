"""The sampler on fields whose trajectories are known exactly: straight lines, one point, and a transcription of KTS."""

import itertools
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kpe_core.errors import NumericalTrouble
from kpe_core.fields.base import Evaluation, VelocityField
from kpe_core.fields.efm import ExactField
from kpe_core.sampling.energy import Energies, energies
from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.noise import initial_noise
from kpe_core.sampling.sampler import Step, trajectory
from kpe_core.sampling.shaping import gain
from kpe_core.study.specs import ShapingSpec

Solver = Literal["euler", "heun"]
Grid = Literal["uniform", "cosine"]
PLAIN = ShapingSpec()
NOISE = torch.from_numpy(initial_noise(0, 0, 6, 3))


class Formula:
    """Any v(x, t) as a field; remembers when it was evaluated."""

    dtype = torch.float64

    def __init__(self, velocity: Callable[[Tensor, float], Tensor], singular_at_one: bool = False) -> None:
        self.velocity, self.singular_at_one = velocity, singular_at_one
        self.asked: list[float] = []

    def evaluate(self, x: Tensor, t: float, label: Tensor | None) -> Evaluation:
        self.asked.append(t)
        return Evaluation(self.velocity(x, t))


def solve(
    field: VelocityField,
    solver: Solver = "euler",
    steps: int = 10,
    grid: Grid = "uniform",
    shaping: ShapingSpec = PLAIN,
) -> tuple[Tensor, Energies, list[Step]]:
    times = time_grid(grid, steps)
    eta = gain(shaping, times)
    taken = list(trajectory(field, NOISE, None, times, eta, solver))
    power = torch.stack([s.power for s in taken], dim=1).numpy()
    return taken[-1].state, energies(power, times, eta, shaping.tau), taken


def swirl(x: Tensor, t: float) -> Tensor:
    """Nonlinear in x and t, so that no term of a solver may be forgotten."""
    return torch.sin(2 * x.roll(1, dims=1)) + (1 + t**2) * x.cos()


@given(
    c=st.lists(st.floats(-5, 5), min_size=3, max_size=3),
    solver=st.sampled_from(["euler", "heun"]),
    grid=st.sampled_from(["uniform", "cosine"]),
    steps=st.integers(1, 40),
)
@settings(deadline=None, max_examples=40)
def test_constant_field_costs_half_its_square(c: list[float], solver: Solver, grid: Grid, steps: int) -> None:
    v = torch.tensor(c, dtype=torch.float64)
    x1, energy, _ = solve(Formula(lambda x, t: v.expand_as(x)), solver, steps, grid)
    assert energy.kpe == pytest.approx(0.5 * float(v @ v), rel=1e-12)
    assert energy.kpe_raw == pytest.approx(0.5 * float(v @ v), rel=1e-12)
    assert torch.allclose(x1, NOISE + v, rtol=0, atol=1e-12)


@pytest.mark.parametrize("solver", ["euler", "heun"])
@pytest.mark.parametrize("grid", ["uniform", "cosine"])
@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_one_training_point_is_reached_straight(solver: Solver, grid: Grid, steps: int) -> None:
    """v = (x_k − x)/(1 − t) is constant along its path: Benamou–Brenier's E = ½‖x_k − x0‖², whatever the grid."""
    point = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    x1, energy, _ = solve(ExactField(point), solver, steps, grid)
    assert torch.allclose(x1, point.expand_as(x1), rtol=0, atol=1e-9)
    assert energy.kpe == pytest.approx(0.5 * (point - NOISE).square().sum(dim=1).numpy(), rel=1e-9)
    assert energy.kpe_error == pytest.approx(np.zeros(6), abs=1e-9)


@pytest.mark.parametrize("grid", ["uniform", "cosine"])
def test_last_euler_step_lands_on_the_posterior_mean(grid: Grid) -> None:
    """x + (1 − t)·(m − x)/(1 − t) = m: whence EFM's samples are averages of training points."""
    points = np.random.default_rng(0).normal(size=(20, 3))
    x1, _, taken = solve(ExactField(torch.from_numpy(points)), "euler", 5, grid)
    x, t = taken[-2].state.numpy(), time_grid(grid, 5)[-2]
    logits = -np.square(x[:, None] - t * points).sum(axis=2) / (2 * (1 - t) ** 2)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    mean = (weights / weights.sum(axis=1, keepdims=True)) @ points
    assert x1.numpy() == pytest.approx(mean, abs=1e-10)


def test_euler_is_the_textbook_loop_and_zero_shaping_changes_no_bit() -> None:
    x1, _, taken = solve(Formula(swirl), steps=20, shaping=ShapingSpec(tau=0.3, launch="constant", landing="constant"))
    times, x = time_grid("uniform", 20).tolist(), NOISE
    for t, t_next in itertools.pairwise(times):
        x = x + (t_next - t) * swirl(x, t)
    assert torch.equal(x1, x)
    assert [s.index for s in taken] == list(range(20))


def test_heun_under_shaping_is_the_published_one() -> None:
    """x̃ = x + η(tᵢ) dt v(x, tᵢ);  x ← x + ½(η(tᵢ) + η(tᵢ₊₁)) dt ½(v(x, tᵢ) + v(x̃, tᵢ₊₁))   (METHOD §4)"""
    alpha0, beta0, tau = 0.4, 0.05, 0.6

    def eta(t: float) -> float:
        return 1 + alpha0 * (1 - t / tau) if t < tau else 1 - beta0 * (np.exp(3 * (t - tau) / (1 - tau)) - 1)

    def v(x: np.ndarray, t: float) -> np.ndarray:
        return np.sin(2 * np.roll(x, 1, axis=1)) + (1 + t**2) * np.cos(x)

    x, n, power = NOISE.numpy(), 10, []
    for i in range(n):
        t, t_next, dt = i / n, (i + 1) / n, 1 / n
        power.append(np.square(v(x, t)).sum(axis=1))
        ahead = x + eta(t) * dt * v(x, t)
        x = x + 0.5 * (eta(t) + eta(t_next)) * dt * 0.5 * (v(x, t) + v(ahead, t_next))

    x1, _, taken = solve(Formula(swirl), "heun", n, shaping=ShapingSpec(alpha0=alpha0, beta0=beta0, tau=tau))
    assert x1.numpy() == pytest.approx(x, abs=1e-12)
    assert torch.stack([s.power for s in taken]).numpy() == pytest.approx(np.array(power), rel=1e-12)


@pytest.mark.parametrize("singular", [True, False])
def test_heun_looks_ahead_to_t_1_only_where_the_field_exists(singular: bool) -> None:
    field = Formula(swirl, singular_at_one=singular)
    _, _, taken = solve(field, "heun", 4)
    assert field.asked == [0.0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75] + ([] if singular else [1.0])
    assert [s.evaluations for s in taken] == [2, 2, 2, 1 if singular else 2]


def test_nan_stops_the_run_and_says_where() -> None:
    def broken(x: Tensor, t: float) -> Tensor:
        row = torch.arange(len(x))[:, None]
        return torch.where((row == 2) & (torch.tensor(t) >= 0.5), torch.nan, swirl(x, t))

    with pytest.raises(NumericalTrouble, match=r"row 2 .* step 5, t = 0\.5$"):
        solve(Formula(broken), steps=10)


def test_float32_field_keeps_a_float64_state() -> None:
    """A thousand steps of 1/1000 add up to 1, which they would not in float32."""
    small = torch.full((6, 3), 1.0, dtype=torch.float32)
    x1, _, _ = solve(Formula(lambda x, t: small), steps=1000)
    assert torch.allclose(x1, NOISE + 1, rtol=0, atol=1e-12)


def test_yielded_states_and_speeds_retell_the_path() -> None:
    """States are not overwritten by later steps; speed × duration is each step's length."""
    _, _, taken = solve(Formula(swirl), "heun", 8)
    states = torch.stack([NOISE, *[s.state for s in taken]])
    lengths = torch.linalg.vector_norm(states.diff(dim=0), dim=2)
    assert torch.allclose(torch.stack([s.speed for s in taken]) / 8, lengths, rtol=1e-10)


@pytest.mark.parametrize(("bad_from", "step"), [(0.5, 1), (1.0, 3)])
def test_nan_in_heuns_look_ahead_is_named(bad_from: float, step: int) -> None:
    field = Formula(lambda x, t: torch.full_like(x, torch.nan if t >= bad_from else 1.0))
    with pytest.raises(NumericalTrouble, match=f"step {step}, t = {bad_from:g}"):
        list(trajectory(field, torch.zeros(2, 2), None, np.linspace(0, 1, 5), np.ones(5), "heun"))
