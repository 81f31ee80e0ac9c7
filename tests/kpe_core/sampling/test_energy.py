"""Energies of a path from its power: identities that hold on any grid, whatever the field."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from kpe_core.fields.base import Evaluation
from kpe_core.sampling.energy import energies
from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.sampler import trajectory

STEPS = 6
grids = arrays(np.float64, STEPS, elements=st.floats(0.01, 1)).map(lambda dt: np.append(0.0, np.cumsum(dt) / dt.sum()))
gains = arrays(np.float64, STEPS + 1, elements=st.floats(0, 3))
powers = arrays(np.float64, (2, STEPS), elements=st.floats(0, 100))
taus = st.floats(0.01, 0.99)


@given(weights=arrays(np.float64, (3, 3), elements=st.floats(-4, 4)), times=grids, eta=gains)
@settings(deadline=None, max_examples=60)
def test_no_euler_path_is_cheaper_than_the_straight_line(
    weights: np.ndarray, times: np.ndarray, eta: np.ndarray
) -> None:
    """E ≥ ½‖x(1) − x(0)‖² exactly, by Jensen, for the effective velocity: any field, grid and gain."""

    class Swirl:
        dtype, singular_at_one = torch.float64, False

        def evaluate(self, x: Tensor, t: float, label: Tensor | None) -> Evaluation:
            return Evaluation(torch.sin(x @ torch.from_numpy(weights)) + t * x)

    times[-1] = 1.0
    x0 = torch.linspace(-2, 2, 12, dtype=torch.float64).reshape(4, 3)
    taken = list(trajectory(Swirl(), x0, None, times, eta, "euler"))
    kpe = energies(torch.stack([s.power for s in taken], dim=1).numpy(), times, eta, 0.6).kpe
    bound = 0.5 * (taken[-1].state - x0).square().sum(dim=1).numpy()
    assert np.all(kpe >= bound * (1 - 1e-12) - 1e-15)


@given(power=powers, times=grids, eta=gains, tau=taus)
@settings(deadline=None, max_examples=60)
def test_early_and_late_make_the_whole(power: np.ndarray, times: np.ndarray, eta: np.ndarray, tau: float) -> None:
    e = energies(power, times, eta, tau)
    assert e.kpe_early + e.kpe_late == pytest.approx(e.kpe, rel=1e-12, abs=1e-12)
    assert np.all(e.kpe_early >= 0)
    assert np.all(e.kpe_late >= -1e-12)


@given(times=grids, tau=taus)
@settings(deadline=None, max_examples=60)
def test_split_between_grid_points_parts_the_step_in_proportion(times: np.ndarray, tau: float) -> None:
    """At constant power the early share of the energy is τ itself, wherever τ falls on the grid."""
    e = energies(np.full((1, STEPS), 8.0), times, np.ones(STEPS + 1), tau)
    assert e.kpe_early / e.kpe == pytest.approx(tau, rel=1e-12)


@pytest.mark.parametrize("steps", [1, 3, 5, 7, 100])
def test_default_split_on_a_constant_field_is_three_fifths(steps: int) -> None:
    e = energies(np.full((1, steps), 3.0), time_grid("uniform", steps), np.ones(steps + 1), 0.6)
    assert (e.kpe_early / e.kpe).item() == pytest.approx(0.6, abs=1e-15)


def test_by_hand() -> None:
    """Two steps of ½: powers 4 and 2 under gains 1 and ½ (the last gain moves nothing)."""
    e = energies(np.array([[4.0, 2.0]]), np.array([0.0, 0.5, 1.0]), np.array([1.0, 0.5, 9.0]), 0.75)
    assert e.kpe_raw.tolist() == [0.5 * (4 * 0.5 + 2 * 0.5)]
    assert e.kpe.tolist() == [0.5 * (4 * 0.5 + 0.25 * 2 * 0.5)]
    assert e.kpe_early.tolist() == [0.5 * (4 * 0.5 + 0.25 * 2 * 0.25)]
    assert e.kpe_late.tolist() == [0.5 * 0.25 * 2 * 0.25]
    assert (e.peak_power.tolist(), e.peak_t.tolist()) == ([4.0], [0.0])
    assert e.kpe_error.tolist() == [abs(1.125 - 0.5 * 4)]


def test_peak_is_of_the_effective_power() -> None:
    """Raw power peaks last; the gain moves the peak to the middle step."""
    e = energies(np.array([[1.0, 4.0, 5.0]]), np.array([0.0, 0.2, 0.7, 1.0]), np.array([1.0, 1.0, 0.5, 0.5]), 0.6)
    assert (e.peak_power.tolist(), e.peak_t.tolist()) == ([4.0], [0.2])


@pytest.mark.parametrize("steps", [4, 5])
def test_error_estimate_compares_with_every_second_node(steps: int) -> None:
    """Even and odd numbers of steps: the coarse sum spans [0, 1] either way."""
    times = time_grid("uniform", steps)
    power = np.exp(times[:-1])[None]
    nodes = [*range(0, steps, 2), steps]
    coarse = sum(0.5 * np.exp(times[a]) * (times[b] - times[a]) for a, b in itertools.pairwise(nodes))
    e = energies(power, times, np.ones(steps + 1), 0.6)
    assert e.kpe_error == pytest.approx(np.abs(e.kpe - coarse), rel=1e-12)
