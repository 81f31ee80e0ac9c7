"""What METHOD §3 says of the exact field, tested as theorems on random data."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from kpe_core.data.datasets import load
from kpe_core.fields.bridges import Bridge
from kpe_core.fields.efm import ExactField
from kpe_core.study.specs import DataSpec, PrepareSpec

POINTS = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 4)))


def log_bridge_density(x: Tensor, points: Tensor, t: float) -> Tensor:
    """log p_t(x), p_t = (1/N) Σ N(x; t xᵢ, (1 − t)² I), by torch's own distributions."""
    spread = torch.distributions.Normal(t * points, 1 - t)
    return torch.logsumexp(spread.log_prob(x[:, None]).sum(dim=2), dim=1) - math.log(len(points))


@pytest.mark.parametrize("t", [0.05, 0.3, 0.6, 0.95])
def test_lemma_4_1_velocity_is_the_score_in_disguise(any_bridge: Bridge, t: float) -> None:
    """v* = α ∇log p_t + β x with α = γ̇σ/γ (METHOD §3's γ̇σ²/(γ(1 − γ)), as σ = 1 − γ) and β = γ̇/γ."""
    at, x = any_bridge.at(t), torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    field = ExactField(POINTS, bridge=any_bridge)
    x.requires_grad_()
    log_p = torch.logsumexp(-(x[:, None] - at.gamma * POINTS).square().sum(dim=2) / (2 * at.sigma**2), dim=1)
    (score,) = torch.autograd.grad(log_p.sum(), x)
    expected = at.rate * at.sigma / at.gamma * score + at.rate / at.gamma * x.detach()
    v = field.evaluate(x.detach(), t).velocity
    assert torch.allclose(v, expected, rtol=1e-8, atol=1e-8 * float(expected.abs().max()))
    m = field.posterior_mean(x.detach(), t)
    assert torch.allclose(v, at.rate * (m - x.detach()) / at.sigma, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("t", [0.0, 0.3, 0.8])
def test_is_the_minimiser_of_the_flow_matching_loss(any_bridge: Bridge, t: float) -> None:
    """v* = E[γ̇(x1 − x0) | x_t = x]: the residual is orthogonal to every function of x_t, v* itself among them."""
    rng, at, n = torch.Generator().manual_seed(1), any_bridge.at(t), 50_000
    x1 = POINTS[torch.randint(len(POINTS), (n,), generator=rng)]
    x0 = torch.randn(n, 4, dtype=torch.float64, generator=rng)
    x_t = at.gamma * x1 + at.sigma * x0
    v = ExactField(POINTS, bridge=any_bridge).evaluate(x_t, t).velocity
    residual = at.rate * (x1 - x0) - v
    for test_function in (torch.ones_like(v), x_t, v, torch.sin(3 * x_t)):
        products = (residual * test_function).sum(dim=1)
        assert abs(products.mean()) <= 4.5 * products.std() / math.sqrt(n)


@pytest.mark.parametrize("t", [0.8, 0.95])
def test_theorem_4_2_energy_against_density(t: float) -> None:
    """With one weight 1, ‖v*‖² = 2(−log p_t) − 2C + ‖x_k‖² − 2 x_k·z exactly, z = (x − t x_k)/(1 − t) (METHOD §7)."""
    points = torch.from_numpy(np.random.default_rng(3).normal(size=(40, 64))) * 2
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(40, 64, dtype=torch.float64, generator=rng)
    x = t * points + (1 - t) * z
    here = ExactField(points).evaluate(x, t)
    assert here.posterior_max is not None
    assert here.posterior_max.min() > 1 - 1e-9
    c = math.log(40) + 32 * math.log(2 * math.pi) + 64 * math.log(1 - t)
    log_p = log_bridge_density(x, points, t)
    expected = -2 * log_p - 2 * c + points.square().sum(dim=1) - 2 * (points * z).sum(dim=1)
    assert torch.allclose(here.velocity.square().sum(dim=1), expected, rtol=1e-8)


@pytest.mark.parametrize(("scale", "predicted"), [(0.27, 0.87), (0.54, 0.59), (1.08, 0.19)])
def test_theorem_4_2_is_as_loose_as_the_data_are_large(scale: float, predicted: float) -> None:
    """On real digits: slope 2 and R² = 2d/(2d + 4E‖x_k‖² + Var‖x_k‖²) at the scales and with the figures of METHOD §7.

    (Its "centred" digits keep the spread they have in [−1, 1], a global std of 0.54.)
    """
    data = load(DataSpec(name="digits", n_train=500, prepare=PrepareSpec(scaling="centered", scale=scale)))
    points, t = torch.from_numpy(data.points).double(), 0.9
    rng = torch.Generator().manual_seed(0)
    x = t * points + (1 - t) * torch.randn(points.shape, dtype=torch.float64, generator=rng)
    power = ExactField(points).evaluate(x, t).velocity.square().sum(dim=1)
    log_p = torch.cat([log_bridge_density(part, points, t) for part in x.split(50)])
    squared_norm = points.square().sum(dim=1)
    formula = 128 / (128 + 4 * squared_norm.mean() + squared_norm.var())
    both = torch.cov(torch.stack([power, -log_p]))
    assert formula.item() == pytest.approx(predicted, abs=0.02)
    assert (both[0, 1] ** 2 / (both[0, 0] * both[1, 1])).item() == pytest.approx(formula.item(), abs=0.06)
    assert (both[0, 1] / both[1, 1]).item() == pytest.approx(2, abs=0.3)
