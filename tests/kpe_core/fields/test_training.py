"""Training: deterministic, resumable to the bit, and close to the exact field where that is known."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from kpe_core.errors import NumericalTrouble, UserError
from kpe_core.fields import training
from kpe_core.fields.bridges import LINEAR, bridge
from kpe_core.fields.network import NetworkVelocity, Weights, build, restore
from kpe_core.fields.training import Progress, Trained, learning_rate, regression, train
from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.noise import initial_noise
from kpe_core.sampling.sampler import Course, trajectory
from kpe_core.study.specs import BridgeSpec, CosineBridge, MLPField, NetworkField, UNetField

TINY = MLPField(kind="mlp", width=8, depth=1, steps=25, batch=4, learning_rate=0.01)
TINY_UNET = UNetField(
    kind="unet", channels=8, multipliers=(1, 1), patch=1, steps=25, batch=4, learning_rate=0.01, ema=0.9
)
POINTS = np.random.default_rng(0).normal(size=(12, 12)).astype(np.float32)
LABELS = np.arange(12, dtype=np.int64) % 2
SHAPES = {"mlp": (12,), "unet": (3, 4)}


class Killed(Exception):
    pass


def same_bits(a: Weights, b: Weights) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def field(spec: NetworkField, learned: Trained, shape: tuple[int, ...], n_classes: int) -> NetworkVelocity:
    return NetworkVelocity(restore(spec, shape, n_classes, learned.weights))


def killed_at(step: int, spec: NetworkField, **arguments: Any) -> Progress:
    """What a training that died right after saving its state left behind, through torch.save and back (weights only, so
    that nothing in it can run code)."""
    file = io.BytesIO()

    def save_and_die(progress: Progress) -> None:
        if progress.step == step:
            torch.save(progress._asdict(), file)
            raise Killed

    with pytest.raises(Killed):
        train(spec, POINTS, LABELS, 2, SHAPES[spec.kind], save=save_and_die, **arguments)
    file.seek(0)
    saved = Progress(**torch.load(file, weights_only=True))
    assert saved.step == step
    return saved


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
@pytest.mark.parametrize("step", [10, 20])
@pytest.mark.parametrize("spec", [TINY, TINY_UNET], ids=["mlp", "unet"])
def test_killed_and_resumed_is_never_stopped(
    spec: NetworkField, schedule: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it had kept before it died is not lost, nor made again: the checkpoints after it are those of the whole."""
    monkeypatch.setattr(training, "SAVE_EVERY", 10)
    choices = {"weight_decay": 0.1, "label_dropout": 0.2, "bridge": CosineBridge(), "ema": 0.8, "clip": 0.5}
    spec = spec.model_copy(update={"schedule": schedule, **choices})
    whole: list[Trained] = []
    train(spec, POINTS, LABELS, 2, SHAPES[spec.kind], at=(7, 15, 25), keep=whole.append)
    before: list[Trained] = []
    saved = killed_at(step, spec, at=(7, 15, 25), keep=before.append)
    after: list[Trained] = []
    resumed = train(spec, POINTS, LABELS, 2, SHAPES[spec.kind], resume=saved, at=(7, 15, 25), keep=after.append)
    assert [kept.step for kept in before + after] == [7, 15, 25]
    for a, b in zip([*before, *after, resumed], [*whole, whole[-1]], strict=True):
        assert same_bits(a.weights, b.weights)
        assert (a.loss, a.curve) == (b.loss, b.curve)


def test_states_are_saved_at_whole_intervals_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY", 5)
    steps: list[int] = []
    train(TINY, POINTS, LABELS, 2, save=lambda p: steps.append(p.step))
    assert steps == [5, 10, 15, 20]


def test_slow_trainings_are_saved_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SAVE_SECONDS", -1.0)
    steps: list[int] = []
    train(TINY.model_copy(update={"steps": 4}), POINTS, LABELS, 2, save=lambda p: steps.append(p.step))
    assert steps == [1, 2, 3]


def test_a_checkpoint_is_a_training_stopped_there() -> None:
    """Where the schedule does not look ahead, as a spec of fewer steps; where it does, the same training up to there."""
    constant = TINY.model_copy(update={"schedule": "constant", "ema": 0.9, "clip": 1.0})
    kept: list[Trained] = []
    train(constant, POINTS, LABELS, 2, at=(9,), keep=kept.append)
    stopped = train(constant.model_copy(update={"steps": 9}), POINTS, LABELS, 2)
    assert kept[0].step == stopped.step == 9
    assert same_bits(kept[0].weights, stopped.weights)
    assert kept[0].loss == stopped.loss
    assert train(constant, POINTS, LABELS, 2, until=9).loss == stopped.loss
    falling: list[Trained] = []
    train(TINY, POINTS, LABELS, 2, at=(9,), keep=falling.append)
    assert same_bits(falling[0].weights, train(TINY, POINTS, LABELS, 2, until=9).weights)
    assert not same_bits(falling[0].weights, train(TINY.model_copy(update={"steps": 9}), POINTS, LABELS, 2).weights)


def test_the_average_follows_its_formula() -> None:
    """θ̄_s = d_s θ̄_{s−1} + (1 − d_s) θ_s, by hand in float64 from the weights after every step."""
    spec = TINY.model_copy(update={"ema": 0.5})
    steps = tuple(range(1, 26))
    raw: list[Trained] = []
    train(TINY, POINTS, LABELS, 2, at=steps, keep=raw.append)
    mean = {name: w.double() for name, w in build(TINY, (12,), 2).state_dict().items()}
    for s, learned in zip(steps, raw, strict=True):
        d = min(0.5, (1 + s) / (10 + s))
        mean = {name: d * mean[name] + (1 - d) * w.double() for name, w in learned.weights.items()}
    averaged = train(spec, POINTS, LABELS, 2)
    for name, w in averaged.weights.items():
        assert w.numpy() == pytest.approx(mean[name].numpy(), abs=1e-6)
    assert averaged.loss == raw[-1].loss, "averaging only watches"


def test_long_gradients_are_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    """AdamW sees gradients of norm ≤ clip, pointing where they pointed."""
    seen: list[list[torch.Tensor]] = []
    step = torch.optim.AdamW.step

    def watch(self: torch.optim.AdamW, *args: Any) -> Any:
        seen.append([p.grad.clone() for g in self.param_groups for p in g["params"]])
        return step(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", watch)
    short = TINY.model_copy(update={"steps": 1})
    train(short, POINTS, LABELS, 2)
    train(short.model_copy(update={"clip": 0.01}), POINTS, LABELS, 2)
    train(short.model_copy(update={"clip": 1e6}), POINTS, LABELS, 2)
    free, clipped, untouched = (torch.cat([g.flatten() for g in gradients]) for gradients in seen)
    assert free.norm() > 0.1
    assert clipped.norm() == pytest.approx(0.01, rel=1e-3)
    assert torch.nn.functional.cosine_similarity(free, clipped, dim=0) == pytest.approx(1, abs=1e-6)
    assert torch.equal(untouched, free)


def test_mixed_precision_is_refused_on_a_cpu() -> None:
    with pytest.raises(UserError, match=r"bfloat16 trains on a CUDA device.*precision: float32"):
        train(TINY.model_copy(update={"precision": "bfloat16"}), POINTS, LABELS, 2)


def test_the_curve_is_of_means_and_covers_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a curve of single steps."""
    monkeypatch.setattr(training, "CURVE_POINTS", 25)
    single = [loss for _, loss in train(TINY, POINTS, LABELS, 2).curve]
    monkeypatch.setattr(training, "CURVE_POINTS", 5)
    kept: list[Trained] = []
    learned = train(TINY, POINTS, LABELS, 2, at=(7,), keep=kept.append)
    assert [step for step, _ in learned.curve] == [5, 10, 15, 20, 25]
    assert [loss for _, loss in learned.curve] == pytest.approx(np.reshape(single, (5, 5)).mean(axis=1).tolist())
    assert [step for step, _ in kept[0].curve] == [5, 7]
    assert kept[0].curve[1][1] == pytest.approx(np.mean(single[5:7]))


def test_seed_decides_everything_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    first = train(TINY, POINTS, LABELS, 2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(456)
    assert same_bits(first.weights, train(TINY, POINTS, LABELS, 2).weights)
    assert not same_bits(first.weights, train(TINY.model_copy(update={"seed": 1}), POINTS, LABELS, 2).weights)


def test_build_depends_on_the_seed_alone_and_disturbs_nobody() -> None:
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    first = build(TINY, (3,), 2).state_dict()
    assert torch.equal(torch.rand(3), expected)
    assert same_bits(first, build(TINY, (3,), 2).state_dict())
    assert not same_bits(first, build(TINY.model_copy(update={"seed": 1}), (3,), 2).state_dict())


def test_warm_up_then_cosine_or_constant() -> None:
    """one_cycle is the cosine after a warm-up of a tenth; the same numbers either way."""
    spec = TINY.model_copy(update={"steps": 1000, "learning_rate": 2.0, "schedule": "cosine"})
    assert learning_rate(spec, 0) == 2.0
    assert learning_rate(spec, 500) == pytest.approx(1.0)
    warm, cycle = spec.model_copy(update={"warmup": 100}), spec.model_copy(update={"schedule": "one_cycle"})
    assert [learning_rate(warm, s) for s in range(1000)] == [learning_rate(cycle, s) for s in range(1000)]
    flat = spec.model_copy(update={"schedule": "constant", "warmup": 4})
    assert [learning_rate(flat, s) for s in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]


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


@given(steps=st.integers(1, 60), schedule=st.sampled_from(["one_cycle", "cosine", "constant"]))
@settings(deadline=None, max_examples=40)
def test_learning_rate_is_positive_and_never_above_its_peak(steps: int, schedule: str) -> None:
    spec = TINY.model_copy(update={"steps": steps, "schedule": schedule})
    rate = [learning_rate(spec, s) for s in range(steps)]
    assert all(0 < r <= spec.learning_rate for r in rate)
    assert schedule != "constant" or set(rate) == {spec.learning_rate}


def test_a_unet_learns_the_field_of_a_gaussian() -> None:
    """Data N(μ, s²I), whose field γ̇(μ + (γs² − σ)/(γ²s² + σ²)(x − γμ)) is linear in x; μ an image, one for each class."""
    draw = np.random.default_rng(0)
    mean, deviation = np.stack([np.full(16, 1.0), np.linspace(-1, 1, 16)]), 0.5
    labels = np.arange(4000) % 2
    points = (mean[labels] + deviation * draw.normal(size=(4000, 16))).astype(np.float32)
    spec = UNetField(kind="unet", channels=16, multipliers=(1, 1), patch=1, steps=400, batch=64, learning_rate=4e-3)
    v = field(spec, train(spec, points, labels, 2, (4, 4)), (4, 4), 2)
    label = torch.arange(200) % 2
    mu = torch.from_numpy(mean)[label]
    for t in (0.2, 0.5, 0.8):
        spread = t**2 * deviation**2 + (1 - t) ** 2
        x = t * mu + spread**0.5 * torch.from_numpy(draw.normal(size=(200, 16)))
        exact = mu + (t * deviation**2 - (1 - t)) / spread * (x - t * mu)
        error = (v.evaluate(x, t, label).velocity - exact).square().mean()
        assert error < 0.04 * exact.square().mean()


BRIDGES: list[dict[str, Any]] = [
    {"kind": "linear"},
    {"kind": "cosine"},
    {"kind": "polynomial", "coefficients": [0.5, 0.5]},
    {"kind": "formula", "gamma": "t**1.5", "rate": "1.5*sqrt(t)"},
]


@pytest.mark.parametrize("document", BRIDGES, ids=lambda b: b["kind"])
def test_two_points_asked_for_by_class(document: dict[str, Any]) -> None:
    """Each class has one training point, so v* = γ̇ (x_k − x)/σ, and every endpoint is known."""
    spec = MLPField.model_validate(
        {
            "kind": "mlp",
            "width": 64,
            "depth": 2,
            "steps": 600,
            "batch": 64,
            "learning_rate": 5e-3,
            "bridge": document,
        }
    )
    points = np.array([[3.0, 0.0], [-1.0, 2.0]], dtype=np.float32)
    learned = train(spec, points, np.array([0, 1]), 2)
    assert learned.loss < 0.4, "an untrained network starts near E‖x1 − x0‖²/2 = 4.5"
    v, label, between = field(spec, learned, (2,), 2), torch.arange(200) % 2, bridge(spec.bridge)
    x0, x1 = torch.from_numpy(initial_noise(0, 0, 200, 2)), torch.from_numpy(points).double()[label]
    for t in (0.2, 0.5, 0.8):
        at = between.at(t)
        x = at.gamma * x1 + at.sigma * x0
        exact = at.rate * (x1 - x) / at.sigma
        error = (v.evaluate(x, t, label).velocity - exact).square().mean().sqrt()
        assert error < 0.15 * exact.square().mean().sqrt()
    *_, last = trajectory(v, x0, label, Course(time_grid("uniform", 30)))
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
    spec = MLPField(kind="mlp", width=32, depth=1, steps=500, batch=128, learning_rate=5e-3, label_dropout=0.3)
    points = np.array([[3.0], [-3.0]], dtype=np.float32)
    v = field(spec, train(spec, points, np.array([0, 1]), 2), (1,), 2)
    x = torch.zeros(2, 1)
    assert v.evaluate(x, 0.0, torch.tensor([0, 1])).velocity.squeeze().tolist() == pytest.approx([3, -3], abs=0.5)
    assert v.evaluate(x, 0.0, None).velocity.squeeze().tolist() == pytest.approx([0, 0], abs=0.5)
    assert build(TINY, (3,), 2).null_label is None


def test_nan_in_training_names_the_step() -> None:
    with pytest.raises(NumericalTrouble, match="nan at step 0; lower learning_rate"):
        train(TINY, np.full_like(POINTS, np.nan), LABELS, 2)


def test_any_allowed_seed_trains() -> None:
    spec = MLPField(kind="mlp", width=4, depth=1, steps=1, batch=2, seed=2**63 - 1)
    training.train(spec, np.zeros((3, 2), np.float32), np.zeros(3, np.int64), 1)
