"""Training: deterministic, resumable to the bit, and close to the exact field where that is known."""

import io
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from kpe_core.errors import NumericalTrouble
from kpe_core.fields import training
from kpe_core.fields.bridges import LINEAR, bridge
from kpe_core.fields.network import NetworkVelocity, VelocityMLP
from kpe_core.fields.training import Progress, build, learning_rate, regression, train
from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.noise import initial_noise
from kpe_core.sampling.sampler import Course, trajectory
from kpe_core.study.specs import BridgeSpec, CosineBridge, NetworkField

TINY = NetworkField(kind="network", width=8, depth=1, steps=25, batch=4, learning_rate=0.01)
POINTS = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
LABELS = np.arange(12, dtype=np.int64) % 2


class Killed(Exception):
    pass


def same_bits(a: VelocityMLP, b: VelocityMLP) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("schedule", ["one_cycle", "constant"])
@pytest.mark.parametrize("killed_at", [10, 20])
def test_killed_and_resumed_is_never_stopped(
    schedule: Literal["one_cycle", "constant"], killed_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint through torch.save and back (weights only, so nothing in it can run code) loses no bit."""
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 10)
    spec = TINY.model_copy(
        update={"schedule": schedule, "weight_decay": 0.1, "label_dropout": 0.2, "bridge": CosineBridge()}
    )
    file = io.BytesIO()

    def save_and_die(progress: Progress) -> None:
        if progress.step == killed_at:
            torch.save(progress._asdict(), file)
            raise Killed

    with pytest.raises(Killed):
        train(spec, POINTS, LABELS, 2, checkpoint=save_and_die)
    file.seek(0)
    saved = Progress(**torch.load(file, weights_only=True))
    resumed, loss = train(spec, POINTS, LABELS, 2, resume=saved)
    whole, whole_loss = train(spec, POINTS, LABELS, 2)
    assert saved.step == killed_at
    assert same_bits(resumed, whole)
    assert loss == whole_loss


def test_checkpoints_come_at_whole_intervals_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 5)
    steps: list[int] = []
    train(TINY, POINTS, LABELS, 2, checkpoint=lambda p: steps.append(p.step))
    assert steps == [5, 10, 15, 20]


def test_seed_decides_everything_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    first, _ = train(TINY, POINTS, LABELS, 2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(456)
    assert same_bits(first, train(TINY, POINTS, LABELS, 2)[0])
    assert not same_bits(first, train(TINY.model_copy(update={"seed": 1}), POINTS, LABELS, 2)[0])


def test_build_depends_on_the_seed_alone_and_disturbs_nobody() -> None:
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    first = build(TINY, 3, 2)
    assert torch.equal(torch.rand(3), expected)
    assert same_bits(first, build(TINY, 3, 2))
    assert not same_bits(first, build(TINY.model_copy(update={"seed": 1}), 3, 2))


def test_one_cycle_rises_to_the_peak_and_falls_to_zero() -> None:
    spec = TINY.model_copy(update={"steps": 1000, "learning_rate": 2.0})
    rate = [learning_rate(spec, s) for s in range(1000)]
    assert rate[0] == pytest.approx(2 / 100)
    assert rate[49] == pytest.approx(1.0), "half the peak, half the rise"
    assert rate[99] == rate[100] == max(rate) == 2.0
    assert rate[550] == pytest.approx(1.0), "half the peak, half the cosine"
    assert 0 < rate[-1] < 1e-4
    assert rate[:100] == sorted(rate[:100])
    assert rate[100:] == sorted(rate[100:], reverse=True)


@given(steps=st.integers(1, 60), schedule=st.sampled_from(["one_cycle", "constant"]))
@settings(deadline=None, max_examples=40)
def test_learning_rate_is_positive_and_never_above_its_peak(steps: int, schedule: str) -> None:
    spec = TINY.model_copy(update={"steps": steps, "schedule": schedule})
    rate = [learning_rate(spec, s) for s in range(steps)]
    assert all(0 < r <= spec.learning_rate for r in rate)
    assert schedule == "one_cycle" or set(rate) == {spec.learning_rate}


BRIDGES: list[dict[str, Any]] = [
    {"kind": "linear"},
    {"kind": "cosine"},
    {"kind": "polynomial", "coefficients": [0.5, 0.5]},
    {"kind": "formula", "gamma": "t**1.5", "rate": "1.5*sqrt(t)"},
]


@pytest.mark.parametrize("document", BRIDGES, ids=lambda b: b["kind"])
def test_two_points_asked_for_by_class(document: dict[str, Any]) -> None:
    """Each class has one training point, so v* = γ̇ (x_k − x)/σ, and every endpoint is known."""
    spec = NetworkField.model_validate(
        {
            "kind": "network",
            "width": 64,
            "depth": 2,
            "steps": 600,
            "batch": 64,
            "learning_rate": 5e-3,
            "bridge": document,
        }
    )
    points = np.array([[3.0, 0.0], [-1.0, 2.0]], dtype=np.float32)
    network, loss = train(spec, points, np.array([0, 1]), 2)
    assert loss < 0.4, "an untrained network starts near E‖x1 − x0‖²/2 = 4.5"
    field, label, between = NetworkVelocity(network), torch.arange(200) % 2, bridge(spec.bridge)
    x0, x1 = torch.from_numpy(initial_noise(0, 0, 200, 2)), torch.from_numpy(points).double()[label]
    for t in (0.2, 0.5, 0.8):
        at = between.at(t)
        x = at.gamma * x1 + at.sigma * x0
        exact = at.rate * (x1 - x) / at.sigma
        error = (field.evaluate(x, t, label).velocity - exact).square().mean().sqrt()
        assert error < 0.15 * exact.square().mean().sqrt()
    *_, last = trajectory(field, x0, label, Course(time_grid("uniform", 30)))
    assert torch.linalg.vector_norm(last.state - x1, dim=1).mean() < 0.4


def affine_features(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Chebyshev polynomials of t, by themselves and times x (B, 1); (B, 24)."""
    chebyshev = torch.cos(torch.arange(12) * torch.acos((2 * t[:, None] - 1).clamp(-1, 1)))
    return torch.cat([chebyshev, chebyshev * x], dim=1)


@pytest.mark.parametrize("document", BRIDGES, ids=lambda b: b["kind"])
def test_the_loss_is_least_for_the_closed_form(document: dict[str, Any]) -> None:
    """For data N(μ, s²) the minimiser is γ̇ E[x1 − x0 | x_t], affine in x; the least-squares fit finds it."""
    between, draw, n = (
        bridge(TypeAdapter(BridgeSpec).validate_python(document)),
        torch.Generator().manual_seed(0),
        200_000,
    )
    mean, deviation = 1.5, 0.7
    x0 = torch.randn(n, 1, generator=draw, dtype=torch.float64)
    x1 = mean + deviation * torch.randn(n, 1, generator=draw, dtype=torch.float64)
    t = torch.rand(n, generator=draw, dtype=torch.float64)
    x_t, target = regression(between, x0, x1, t)
    weights = torch.linalg.lstsq(affine_features(x_t, t), target).solution
    for s in (0.1, 0.4, 0.7, 0.95):
        at = between.at(s)
        variance = at.gamma**2 * deviation**2 + at.sigma**2
        x = at.gamma * mean + np.sqrt(variance) * torch.linspace(-1.5, 1.5, 7, dtype=torch.float64)[:, None]
        slope = (at.gamma * deviation**2 - at.sigma) / variance
        exact = at.rate * (mean + slope * (x - at.gamma * mean))
        fitted = affine_features(x, torch.full((7,), s, dtype=torch.float64)) @ weights
        assert (fitted - exact).abs().max() < 0.04


def test_the_linear_bridge_is_lipmans_regression() -> None:
    x0, x1, t = torch.randn(9, 3), torch.randn(9, 3), torch.rand(9)
    x_t, target = regression(LINEAR, x0, x1, t)
    assert torch.equal(x_t, torch.lerp(x0, x1, t[:, None]))
    assert torch.equal(target, x1 - x0)


def test_dropped_labels_train_the_null_label() -> None:
    """With label dropout the network knows E[v | y] for each class and E[v] for none; without it ∅ does not exist."""
    spec = NetworkField(kind="network", width=32, depth=1, steps=500, batch=128, learning_rate=5e-3, label_dropout=0.3)
    points = np.array([[3.0], [-3.0]], dtype=np.float32)
    field = NetworkVelocity(train(spec, points, np.array([0, 1]), 2)[0])
    x = torch.zeros(2, 1)
    assert field.evaluate(x, 0.0, torch.tensor([0, 1])).velocity.squeeze().tolist() == pytest.approx([3, -3], abs=0.5)
    assert field.evaluate(x, 0.0, None).velocity.squeeze().tolist() == pytest.approx([0, 0], abs=0.5)
    assert build(TINY, 3, 2).null_label is None


def test_nan_in_training_names_the_step() -> None:
    with pytest.raises(NumericalTrouble, match="nan at step 0; lower learning_rate"):
        train(TINY, np.full_like(POINTS, np.nan), LABELS, 2)


def test_any_allowed_seed_trains() -> None:
    spec = NetworkField(kind="network", width=4, depth=1, steps=1, batch=2, seed=2**63 - 1)
    training.train(spec, np.zeros((3, 2), np.float32), np.zeros(3, np.int64), 1)
