"""The exact field against brute force: the softmax over training points, written out and in extended precision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kpe_core.fields import efm
from kpe_core.fields.efm import ExactField


def brute_force(x: np.ndarray, points: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
    """v* and the largest weight, straight from METHOD §3, in 80-bit floats."""
    x, points, t = x.astype(np.longdouble), points.astype(np.longdouble), np.longdouble(t)
    logits = -np.square(x[:, None] - t * points).sum(axis=2) / (2 * (1 - t) ** 2)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    v = (weights @ points - x) / (1 - t)
    return v.astype(np.float64), weights.max(axis=1).astype(np.float64)


def bridge(points: np.ndarray, t: float, n: int, seed: int = 0) -> np.ndarray:
    """x_t = t x1 + (1 − t) x0: where the field is evaluated in practice."""
    rng = np.random.default_rng(seed)
    return t * points[rng.integers(len(points), size=n)] + (1 - t) * rng.normal(size=(n, points.shape[1]))


@given(t=st.floats(0, 0.999), n=st.integers(1, 30), d=st.integers(1, 20), offset=st.floats(-50, 50))
@settings(deadline=None, max_examples=60)
def test_equals_brute_force(t: float, n: int, d: int, offset: float) -> None:
    points = np.random.default_rng(n).normal(size=(n, d)) + offset
    x = bridge(points, t, 7)
    v, top = brute_force(x, points, t)
    here = ExactField(torch.from_numpy(points)).evaluate(torch.from_numpy(x), t)
    assert here.velocity.numpy() == pytest.approx(v, rel=1e-9, abs=1e-9 * (1 + np.abs(v).max()))
    assert here.posterior_max is not None
    assert here.posterior_max.numpy() == pytest.approx(top, rel=1e-9)


def test_at_t_0_every_point_weighs_the_same() -> None:
    points = torch.randn(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = torch.ones(2, 4, dtype=torch.float64)
    here = ExactField(points).evaluate(x, 0.0)
    assert torch.allclose(here.velocity, points.mean(dim=0) - x, atol=1e-12)
    assert here.posterior_max is not None
    assert torch.allclose(here.posterior_max, torch.full((2,), 1 / 9, dtype=torch.float64))


@pytest.mark.parametrize("block", [1, 7, 64, 1000, None])
def test_answer_does_not_depend_on_the_block(block: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efm, "BLOCK_BYTES", 11 * 8 * 13)  # None: 11 points a block at 13 rows
    points = np.random.default_rng(0).normal(size=(200, 5))
    x = torch.from_numpy(bridge(points, 0.7, 13))
    whole = ExactField(torch.from_numpy(points), block=200).evaluate(x, 0.7)
    pieces = ExactField(torch.from_numpy(points), block=block).evaluate(x, 0.7)
    assert torch.allclose(pieces.velocity, whole.velocity, rtol=1e-12, atol=1e-12)
    assert torch.allclose(pieces.posterior_max, whole.posterior_max, rtol=1e-12)


@given(shift=st.floats(-1e3, 1e3), t=st.floats(0, 0.99))
@settings(deadline=None, max_examples=30)
def test_moving_the_data_by_c_and_x_by_tc_adds_c(shift: float, t: float) -> None:
    """x_t = t x1 + (1 − t) x0, so data shifted by c carry the bridge with them: v(x + t c; X + c) = v(x; X) + c."""
    points = np.random.default_rng(2).normal(size=(40, 3))
    x = bridge(points, t, 10)
    here = ExactField(torch.from_numpy(points)).evaluate(torch.from_numpy(x), t).velocity
    there = ExactField(torch.from_numpy(points + shift)).evaluate(torch.from_numpy(x + t * shift), t).velocity
    assert there.numpy() == pytest.approx(here.numpy() + shift, rel=1e-7, abs=1e-7)


def test_data_far_from_the_origin_lose_no_digits() -> None:
    """Every sum here is exact in binary, so that an offset of a million costs what the field itself wastes."""
    grid, shift, t = 2.0**-20, 2.0**20, 0.5
    points = torch.from_numpy(np.round(np.random.default_rng(0).normal(size=(40, 3)) / grid) * grid)
    x = torch.from_numpy(np.round(bridge(points.numpy(), t, 10) / grid) * grid)
    here = ExactField(points).evaluate(x, t).velocity
    there = ExactField(points + shift).evaluate(x + t * shift, t).velocity
    assert torch.allclose(there - shift, here, rtol=0, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("far", [1e3, 1e8, 1e15])
def test_far_away_the_farthest_point_that_way_wins(dtype: torch.dtype, far: float) -> None:
    points = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    here = ExactField(points, dtype=dtype).evaluate(torch.tensor([[far, 0.0]], dtype=torch.float64), 0.9)
    expected = (points[1].double() - torch.tensor([far, 0.0], dtype=torch.float64)) / 0.1
    assert here.velocity.dtype == dtype
    assert torch.allclose(here.velocity[0].double(), expected, rtol=1e-5)
    assert here.posterior_max is not None
    assert here.posterior_max.item() == 1.0


@pytest.mark.parametrize(("t", "tolerance"), [(0.99, 1e-9), (0.999, 1e-9), (0.9999, 1e-7)])
def test_near_duplicates_late_in_time(t: float, tolerance: float) -> None:
    """Two training points a hair apart, and x where they nearly tie: the trap float32 falls into (EXAMPLES)."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(50, 64))
    points[1] = points[0] + 0.3 * (1 - t) * rng.normal(size=64) / 8
    x = t * points[[0]] + (1 - t) * rng.normal(size=(20, 64))
    v, top = brute_force(x, points, t)
    assert top.max() < 0.7, "the two points should nearly tie"
    exact = ExactField(torch.from_numpy(points)).evaluate(torch.from_numpy(x), t)
    assert np.abs(exact.velocity.numpy() - v).max() / np.abs(v).max() < tolerance


@pytest.mark.parametrize("t", [1.0, 1.5])
def test_is_singular_at_one(t: float) -> None:
    field = ExactField(torch.zeros(2, 2))
    assert field.singular_at_one
    with pytest.raises(ValueError, match="singular at t = 1"):
        field.evaluate(torch.zeros(1, 2), t)
