"""The exact field against brute force: velocity, score, density, posterior; on every bridge, and class by class."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kpe_core.errors import UserError
from kpe_core.fields.bridges import LINEAR, Bridge
from kpe_core.fields.efm import ExactField
from tests.kpe_core.brute import sums

NEARLY_ONE = [0.9, 0.99, 0.9999]


def normal(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def on(bridge: Bridge, points: Tensor, t: float, rows: int, seed: int = 0) -> Tensor:
    """x_t = γ x1 + σ x0: where the field is evaluated in practice."""
    at = bridge.at(t)
    chosen = np.random.default_rng(seed).integers(len(points), size=rows)
    return at.gamma * points[chosen].double() + at.sigma * normal(seed + 1, rows, points.shape[1])


def brute_velocity(x: Tensor, points: Tensor, bridge: Bridge, t: float) -> np.ndarray:
    at = bridge.at(t)
    return (at.rate * (sums(x, points, at.gamma, at.sigma).mean - x.double().numpy()) / at.sigma).astype(float)


def log_density(x: Tensor, points: Tensor, bridge: Bridge, t: float) -> Tensor:
    """log p_t(x), p_t = (1/N) Σ N(x; γ xᵢ, σ² I), by torch's own mixture."""
    at = bridge.at(t)
    spread = torch.distributions.Normal(at.gamma * points.double(), at.sigma)
    return torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(len(points), dtype=torch.float64)),
        torch.distributions.Independent(spread, 1),
    ).log_prob(x)


@given(t=st.floats(0, 0.999), n=st.integers(1, 30), d=st.integers(1, 20), offset=st.floats(-50, 50))
@settings(deadline=None, max_examples=60)
def test_linear_field_equals_brute_force(t: float, n: int, d: int, offset: float) -> None:
    points = normal(n, n, d) + offset
    x = on(LINEAR, points, t, 7)
    v = brute_velocity(x, points, LINEAR, t)
    here = ExactField(points).evaluate(x, t)
    assert here.velocity.numpy() == pytest.approx(v, rel=1e-8, abs=1e-8 * (1 + np.abs(v).max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("t", [0.0, 0.2, 0.5, *NEARLY_ONE])
def test_every_bridge_equals_brute_force(any_bridge: Bridge, t: float, dtype: torch.dtype) -> None:
    points = normal(1, 60, 40).to(dtype)
    x = on(any_bridge, points, t, 9)
    at, v = any_bridge.at(t), brute_velocity(x, points, any_bridge, t)
    truth = sums(x, points, at.gamma, at.sigma)
    here = ExactField(points, bridge=any_bridge, dtype=dtype).evaluate(x, t)
    assert np.abs(here.velocity.numpy() - v).max() <= (1e-5 if dtype == torch.float32 else 1e-9) * np.abs(v).max()
    assert here.posterior_max is not None
    assert here.posterior_entropy is not None
    assert here.posterior_max.numpy() == pytest.approx(truth.largest.astype(float), abs=1e-5)
    assert here.posterior_entropy.numpy() == pytest.approx(truth.entropy.astype(float), abs=1e-5)


@pytest.mark.parametrize("t", [0.0, 0.3, 0.7, 0.99])
def test_log_density_is_the_mixtures_and_score_its_gradient(any_bridge: Bridge, t: float) -> None:
    points = normal(2, 30, 4)
    x = on(any_bridge, points, t, 6).requires_grad_()
    log_p = log_density(x, points, any_bridge, t)
    (gradient,) = torch.autograd.grad(log_p.sum(), x)
    field = ExactField(points, bridge=any_bridge)
    here = field.evaluate(x.detach(), t).log_density
    assert here is not None
    assert torch.allclose(here, log_p.detach(), rtol=1e-10, atol=1e-9)
    assert torch.allclose(field.score(x.detach(), t), gradient, rtol=1e-8, atol=1e-8 * float(gradient.abs().max()))


def test_one_density_integrates_to_one() -> None:
    grid = torch.linspace(-6, 6, 4001, dtype=torch.float64)
    log_p = ExactField(normal(0, 5, 1)).evaluate(grid[:, None], 0.8).log_density
    assert log_p is not None
    assert torch.trapezoid(log_p.exp(), grid).item() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("t", [0.0, 0.4, 0.95])
def test_a_class_sees_its_own_points_only(any_bridge: Bridge, dtype: torch.dtype, t: float) -> None:
    """Classes shuffled among the points and among the rows, one of them with a single point."""
    points, labels = normal(3, 50, 36).to(dtype), torch.arange(50) % 3
    labels[7] = 11
    asked = torch.tensor([2, 0, 11, 1, 0, 2])
    x = on(any_bridge, points, t, 6)
    field = ExactField(points, labels, any_bridge, dtype)
    here = field.evaluate(x, t, asked)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-9
    for row, y in enumerate(asked.tolist()):
        own = ExactField(points[labels == y], bridge=any_bridge, dtype=dtype).evaluate(x[[row]], t)
        assert torch.allclose(here.velocity[[row]], own.velocity, rtol=0, atol=tolerance * float(own.velocity.norm()))
        for told, expected in zip(here[1:], own[1:], strict=True):
            assert told is not None
            assert expected is not None
            assert told[row].item() == pytest.approx(expected.item(), rel=1e-6, abs=10 * tolerance)
    whole = ExactField(points, bridge=any_bridge, dtype=dtype).evaluate(x, t)
    assert torch.allclose(field.evaluate(x, t).velocity, whole.velocity, rtol=0, atol=tolerance * 10)


def test_a_class_without_points_is_named() -> None:
    field = ExactField(normal(0, 4, 2), torch.tensor([0, 0, 3, 3]))
    with pytest.raises(UserError, match=re.escape("no training point of class 1; classes with points: 0, 3")):
        field.evaluate(torch.zeros(2, 2), 0.5, torch.tensor([0, 1]))
    with pytest.raises(UserError, match="built without labels"):
        ExactField(normal(0, 4, 2)).evaluate(torch.zeros(1, 2), 0.5, torch.tensor([0]))


@given(t=st.floats(0, 0.9999), n=st.integers(1, 60), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_entropy_and_largest_weight_lie_where_they_must(t: float, n: int, seed: int) -> None:
    """1/N ≤ max w ≤ 1, 0 ≤ H ≤ log N, and −log max w ≤ H: the least surprise is no more than the mean one."""
    points = normal(seed, n, 3)
    here = ExactField(points).evaluate(on(LINEAR, points, t, 5, seed), t)
    top, entropy = here.posterior_max, here.posterior_entropy
    assert top is not None
    assert entropy is not None
    assert bool(((top >= 1 / n - 1e-12) & (top <= 1.0)).all())
    assert bool(((entropy >= 0) & (entropy <= math.log(n) + 1e-12) & (entropy >= -top.log() - 1e-9)).all())


def test_at_t_0_every_point_weighs_the_same(any_bridge: Bridge) -> None:
    points, x = normal(0, 9, 4), torch.ones(2, 4, dtype=torch.float64)
    here = ExactField(points, bridge=any_bridge).evaluate(x, 0.0)
    assert torch.allclose(here.velocity, any_bridge.at(0.0).rate * (points.mean(dim=0) - x), atol=1e-12)
    assert here.posterior_entropy is not None
    assert torch.allclose(here.posterior_entropy, torch.full((2,), math.log(9), dtype=torch.float64))


@given(shift=st.floats(-1e3, 1e3), t=st.floats(0, 0.99))
@settings(deadline=None, max_examples=30)
def test_moving_the_data_by_c_and_x_by_tc_adds_c(shift: float, t: float) -> None:
    """x_t = t x1 + (1 − t) x0, so data shifted by c carry the bridge with them: v(x + t c; X + c) = v(x; X) + c."""
    points = normal(2, 40, 3)
    x = on(LINEAR, points, t, 10)
    here = ExactField(points).evaluate(x, t).velocity
    there = ExactField(points + shift).evaluate(x + t * shift, t).velocity
    assert there.numpy() == pytest.approx(here.numpy() + shift, rel=1e-7, abs=1e-7)


def test_data_far_from_the_origin_lose_no_digits() -> None:
    """Every sum here is exact in binary, so that an offset of a million costs what the field itself wastes."""
    grid, shift, t = 2.0**-20, 2.0**20, 0.5
    points = torch.round(normal(0, 40, 3) / grid) * grid
    x = torch.round(on(LINEAR, points, t, 10) / grid) * grid
    here = ExactField(points).evaluate(x, t).velocity
    there = ExactField(points + shift).evaluate(x + t * shift, t).velocity
    assert torch.allclose(there - shift, here, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("t", "tolerance"), [(0.99, 1e-9), (0.999, 1e-9), (0.9999, 1e-7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_near_duplicates_late_in_time(t: float, tolerance: float, dtype: torch.dtype) -> None:
    """Two training points a hair apart, and x where they nearly tie: the trap a float32 product falls into."""
    points = normal(0, 50, 64)
    points[1] = points[0] + 0.3 * (1 - t) * normal(1, 64) / 8
    points = points.to(dtype)
    x = t * points[[0]].double() + (1 - t) * normal(2, 20, 64)
    here, v = ExactField(points, dtype=dtype).evaluate(x, t), brute_velocity(x, points, LINEAR, t)
    assert here.posterior_max is not None
    assert here.posterior_max.max() < 0.7, "the two points should nearly tie"
    assert np.abs(here.velocity.numpy() - v).max() / np.abs(v).max() < tolerance


@pytest.mark.parametrize("t", [1.0, 1.5])
def test_is_singular_at_one(t: float) -> None:
    field = ExactField(torch.zeros(2, 2))
    assert field.singular_at_one
    assert field.evaluations == 1
    for ask in (field.evaluate, field.score, field.posterior_mean):
        with pytest.raises(ValueError, match="singular at t = 1"):
            ask(torch.zeros(1, 2), t)
