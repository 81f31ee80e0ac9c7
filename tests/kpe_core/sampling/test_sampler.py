"""The sampler on fields whose trajectories are known exactly: straight lines, one point, and what stops a run."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kpe_core.errors import NumericalTrouble
from kpe_core.fields.bridges import COSINE
from kpe_core.fields.efm import ExactField
from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.solvers import SOLVERS
from tests.kpe_core.brute import sums
from tests.kpe_core.sampling.known import NOISE, Formula, Grid, course, steps_of, swirl, walk

POINT = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)


@given(
    c=st.lists(st.floats(-5, 5), min_size=3, max_size=3), solver=st.sampled_from(sorted(SOLVERS)),
    grid=st.sampled_from(["uniform", "cosine"]), steps=st.integers(1, 30),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_constant_field_costs_half_its_square(c: list[float], solver: str, grid: Grid, steps: int) -> None:
    v = torch.tensor(c, dtype=torch.float64)
    path = walk(Formula(lambda x, t: v.expand_as(x)), course(solver, steps, grid))
    e, half = path.energies, 0.5 * float(v @ v)
    for energy in (e.kpe, e.kpe_raw, e.kpe_left, e.kpe_trapezoid, e.kpe_simpson):
        assert energy == pytest.approx(half, rel=1e-9, abs=1e-12)
    assert e.kpe_early == pytest.approx(0.6 * half, rel=1e-9, abs=1e-12)
    assert e.path_length == pytest.approx(float(v.norm()), rel=1e-9, abs=1e-12)
    assert e.kpe_error == pytest.approx(0.0, abs=1e-9)
    assert torch.allclose(path.x1, NOISE + v, rtol=0, atol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("grid", ["uniform", "cosine"])
@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_one_training_point_is_reached_straight(solver: str, grid: Grid, steps: int) -> None:
    """v = (x_k − x)/(1 − t) is constant along its path: Benamou–Brenier's E = ½‖x_k − x0‖², whatever the grid."""
    path = walk(ExactField(POINT), course(solver, steps, grid))
    rel = 1e-5 if solver == "dopri5" else 1e-9
    assert torch.allclose(path.x1, POINT.expand_as(path.x1), rtol=0, atol=1e-9)
    assert path.energies.kpe == pytest.approx(0.5 * (POINT - NOISE).square().sum(dim=1).numpy(), rel=rel)
    assert path.energies.straightness == pytest.approx(1.0, rel=rel)
    assert path.energies.kpe_error == pytest.approx(0.0, abs=1e-4 if solver == "dopri5" else 1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_one_training_point_on_a_curved_schedule(solver: str) -> None:
    """x(t) = γ x_k + σ x0, so E = ½‖x_k − x0‖² ∫γ̇² and ∫γ̇² = π²/8 for the cosine."""
    path = walk(ExactField(POINT, bridge=COSINE), course(solver, 400, "uniform"))
    expected = 0.5 * (POINT - NOISE).square().sum(dim=1).numpy() * np.pi**2 / 8
    assert path.energies.kpe == pytest.approx(expected, rel=0.01 if solver == "euler" else 1e-3)
    assert path.energies.straightness == pytest.approx(8 / np.pi**2, rel=0.01)


@pytest.mark.parametrize("solver", ["euler", "heun", "heun_ke", "rk4", "dopri5"])
@pytest.mark.parametrize("grid", ["uniform", "cosine"])
def test_last_step_lands_on_the_posterior_mean(solver: str, grid: Grid) -> None:
    """x + (1 − t)·(m − x)/(1 − t) = m: whence EFM's samples are averages of training points."""
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 3)))
    taken = steps_of(ExactField(points), course(solver, 5, grid))
    t = float(time_grid(grid, 5)[-2])
    mean = sums(taken[-2].state, points, t, 1 - t).mean.astype(float)
    assert taken[-1].state.numpy() == pytest.approx(mean, abs=1e-10)


def test_euler_is_the_textbook_loop_to_the_last_bit() -> None:
    taken, x = steps_of(Formula(swirl), course("euler", 20)), NOISE
    for t, t_next in itertools.pairwise(time_grid("uniform", 20).tolist()):
        x = torch.add(x, swirl(x, t), alpha=t_next - t)
    assert torch.equal(taken[-1].state, x)
    assert [s.index for s in taken] == list(range(20))


def test_a_float32_field_keeps_a_float64_state() -> None:
    """A thousand steps of 1/1000 add up to 1, which they would not in float32."""
    small = torch.full((6, 3), 1.0, dtype=torch.float32)
    path = walk(Formula(lambda x, t: small), course("euler", 1000))
    assert torch.allclose(path.x1, NOISE + 1, rtol=0, atol=1e-12)
    start = NOISE.to(torch.float32)
    assert walk(Formula(swirl), course("heun", 5), start).x1.dtype == torch.float64


def test_states_are_not_overwritten_by_later_steps() -> None:
    kept: list[Tensor] = []
    states = [s.state for s in steps_of(Formula(swirl), course("rk4", 8)) if kept.append(s.state.clone()) is None]
    assert all(torch.equal(a, b) for a, b in zip(states, kept, strict=True))
    assert len({s.data_ptr() for s in states}) == 8


@pytest.mark.parametrize("solver", SOLVERS)
def test_nan_stops_the_run_and_says_where(solver: str) -> None:
    def broken(x: Tensor, t: float) -> Tensor:
        row = torch.arange(len(x))[:, None]
        return torch.where((row == 2) & (torch.tensor(t) >= 0.5), torch.nan, swirl(x, t))

    # A stage that looks ahead meets it in the step before.
    step = "5" if solver in ("euler", "midpoint") else "[0-5]"
    with pytest.raises(NumericalTrouble, match=rf"row 2 .* step {step}, t = 0\.[5-9]"):
        walk(Formula(broken), course(solver, 10))


@pytest.mark.parametrize(("bad_from", "step"), [(0.5, 1), (1.0, 3)])
def test_nan_in_heuns_look_ahead_is_named(bad_from: float, step: int) -> None:
    field = Formula(lambda x, t: torch.full_like(x, torch.nan if t >= bad_from else 1.0))
    with pytest.raises(NumericalTrouble, match=f"step {step}, t = {bad_from:g}"):
        steps_of(field, course("heun", 4))
