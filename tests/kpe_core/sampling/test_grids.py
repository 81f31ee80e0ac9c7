"""Time grids from 0 to 1."""

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpe_core.sampling.grids import time_grid


@given(kind=st.sampled_from(["uniform", "cosine"]), steps=st.integers(1, 2000))
@settings(deadline=None, max_examples=50)
def test_runs_from_exactly_zero_to_exactly_one(kind: Literal["uniform", "cosine"], steps: int) -> None:
    grid = time_grid(kind, steps)
    assert grid.shape == (steps + 1,)
    assert grid.dtype == np.float64
    assert (grid[0], grid[-1]) == (0.0, 1.0)
    assert np.all(np.diff(grid) > 0)


def test_uniform_is_i_over_n() -> None:
    assert time_grid("uniform", 4).tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert time_grid("uniform", 10)[6] == 0.6, "τ = 0.6 must fall on the grid, or the launch would last a step longer"


def test_cosine_is_half_one_minus_cosine() -> None:
    root = np.sqrt(0.5)
    assert time_grid("cosine", 4) == pytest.approx([0.0, (1 - root) / 2, 0.5, (1 + root) / 2, 1.0])


def test_cosine_steps_are_shortest_at_both_ends() -> None:
    dt = np.diff(time_grid("cosine", 20))
    assert dt == pytest.approx(dt[::-1])
    assert np.all(np.diff(dt[:10]) > 0)
