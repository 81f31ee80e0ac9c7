"""Predictions to velocities, by round trip: the exact field tells its noise, data, score and velocity in closed form."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kpe_core.fields.bridges import Bridge
from kpe_core.fields.efm import ExactField
from kpe_core.fields.pretrained.conventions import Habits
from kpe_core.fields.pretrained.conversion import CUT, Mixture, difference, time_at
from kpe_core.fields.pretrained.field import PretrainedVelocity
from kpe_core.fields.pretrained.network import Network
from kpe_core.fields.pretrained.schedule import schedule
from kpe_core.study.specs import BetasSpec, PretrainedField
from kpe_core.study.specs.pretrained import Prediction
from tests.kpe_core.fields.conftest import BRIDGES

NOISE = torch.Generator().manual_seed(1)
POINTS = torch.randn(12, 3, dtype=torch.float64, generator=NOISE)
X = torch.randn(7, 3, dtype=torch.float64, generator=NOISE)
SPECS = {
    "linear": "linear",
    "cosine": "cosine",
    "polynomial": {"kind": "polynomial", "coefficients": [0.5, 0.0, 0.5]},
    "formula": {"kind": "formula", "gamma": "sin(pi * t / 2)", "rate": "pi / 2 * cos(pi * t / 2)"},
}
KINDS: list[Prediction] = ["noise", "data", "score"]


def told_on(bridge: Bridge, predicts: Prediction, points: Tensor = POINTS) -> Callable[[Tensor, float], Tensor]:
    """What the perfect model of that kind says of x at t, trained on the bridge itself."""
    field = ExactField(points, bridge=bridge)

    def told(x: Tensor, t: float) -> Tensor:
        at = bridge.at(t)
        mean = field.posterior_mean(x, t)
        return {
            "noise": lambda: (x - at.gamma * mean) / at.sigma,
            "data": lambda: mean,
            "score": lambda: field.score(x, t),
            "velocity": lambda: field.evaluate(x, t).velocity,
        }[predicts]()

    return told


def field_of(told: Callable[[Tensor, float], Tensor], **choices: object) -> PretrainedVelocity:
    spec = PretrainedField.model_validate(
        {"kind": "pretrained", "layout": "function", "path": "nowhere:nothing", "dtype": "float64"} | choices
    )
    return PretrainedVelocity(spec, Network(lambda z, s, label: told(z, float(s[0])), Habits(), None), (3,))


@pytest.mark.parametrize("name", BRIDGES)
@pytest.mark.parametrize("predicts", KINDS)
@given(t=st.floats(0.05, 0.97))
@settings(max_examples=15)
def test_converted_back_is_the_exact_velocity(name: str, predicts: Prediction, t: float) -> None:
    bridge = BRIDGES[name]
    ours = field_of(told_on(bridge, predicts), predicts=predicts, bridge=SPECS[name]).evaluate(X, t).velocity
    exact = ExactField(POINTS, bridge=bridge).evaluate(X, t).velocity
    assert float((ours - exact).norm() / exact.norm()) < 1e-9


@pytest.mark.parametrize("predicts", KINDS)
def test_lemma_4_1(predicts: Prediction) -> None:
    """Written out: α ∇log p + β x, α = γ̇σ²/(γ(1−γ)), β = γ̇/γ."""
    bridge, t = BRIDGES["cosine"], 0.4
    at, field = bridge.at(t), ExactField(POINTS, bridge=BRIDGES["cosine"])
    lemma = at.rate * at.sigma**2 / (at.gamma * (1 - at.gamma)) * field.score(X, t) + at.rate / at.gamma * X
    told = told_on(bridge, predicts)(X, t)
    ours = at.rate * difference(predicts, told, X, Mixture(at.gamma, at.sigma))
    assert torch.allclose(ours, lemma, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", BRIDGES)
@pytest.mark.parametrize("predicts", ["noise", "score"])
def test_at_the_start_it_is_the_exact_one_but_for_the_cut(name: str, predicts: Prediction) -> None:
    """v(x, 0) = γ̇ (mean − x); x̂1 − x̂0 is taken at γ = CUT, which is off by O(CUT)."""
    bridge = BRIDGES[name]
    field = field_of(told_on(bridge, predicts), predicts=predicts, bridge=SPECS[name])
    exact = ExactField(POINTS, bridge=bridge)
    assert bridge.at(field.first).gamma == pytest.approx(CUT, rel=1e-6)
    for t in (0.0, 0.3 * field.first):
        v, expected = field.evaluate(X, t).velocity, exact.evaluate(X, t).velocity
        scale = bridge.at(t).rate * X.abs().max()
        assert float((v - expected).abs().max()) <= 10 * CUT * float(scale)


def test_at_the_end() -> None:
    """Noise and score are regular there; data are not, and say so, as the exact field does."""
    known: Callable[[Tensor, float], Tensor] = lambda x, t: torch.full_like(x, 0.25)  # noqa: E731
    assert torch.allclose(field_of(known, predicts="noise").evaluate(X, 1.0).velocity, X - 0.25)
    assert torch.allclose(field_of(known, predicts="score").evaluate(X, 1.0).velocity, X)
    data = field_of(known, predicts="data")
    assert data.singular_at_one
    with pytest.raises(ValueError, match="singular at t = 1"):
        data.evaluate(X, 1.0)


def test_reversed_and_scaled_time() -> None:
    """A model from data at 0 to noise at 1000, whose velocity is noise − data."""
    exact = ExactField(POINTS)
    field = field_of(
        lambda x, s: -exact.evaluate(x, 1.0 - s / 1000.0).velocity, direction="data_to_noise", time_scale=1000.0
    )
    assert torch.allclose(field.evaluate(X, 0.3).velocity, exact.evaluate(X, 0.3).velocity, rtol=1e-10)


def test_whole_times_and_input_scale() -> None:
    asked: list[tuple[float, float]] = []

    def told(x: Tensor, s: float) -> Tensor:
        asked.append((s, float(x[0, 0])))
        return x

    field = field_of(told, time_scale=999.0, whole_times=True, input_scale=0.5)
    for t in (0.0, 1 / 3, 0.5, 0.9999, 1.0):
        field.evaluate(X, t)
    assert [s for s, _ in asked] == [0, 333, 499, 998, 999]
    assert asked[0][1] == pytest.approx(0.5 * float(X[0, 0]))


# -- variance-preserving models ----------------------------------------------------------------------------------------

BETAS = [{}, {"kind": "scaled_linear", "start": 0.00085, "end": 0.012}, {"kind": "cosine"}]


def vp_told(predicts: Prediction, betas: BetasSpec) -> Callable[[Tensor, float], Tensor]:
    """The perfect variance-preserving model of the points: E[· | z] at √ᾱ_s, also between whole s, where log ᾱ/(1−ᾱ) is
    linear; by brute force."""
    table = schedule(betas).log_ratio

    def told(z: Tensor, s: float) -> Tensor:
        ratio = math.exp(2 * float(np.interp(s, np.arange(len(table)), table)))
        a, b = math.sqrt(ratio / (1 + ratio)), math.sqrt(1 / (1 + ratio))
        weights = torch.softmax(-(z[:, None] - a * POINTS).square().sum(-1) / (2 * b**2), dim=1)
        mean = weights @ POINTS
        noise = (z - a * mean) / b
        return {"noise": noise, "data": mean, "score": -noise / b, "vp_velocity": a * noise - b * mean}[predicts]

    return told


@pytest.mark.parametrize("betas", BETAS)
@pytest.mark.parametrize("predicts", [*KINDS, "vp_velocity"])
@pytest.mark.parametrize("gamma", [0.07, 0.4, 0.8, 0.95])
def test_a_diffusion_model_seen_on_the_bridge_is_the_exact_field(
    betas: dict, predicts: Prediction, gamma: float
) -> None:
    """Whatever its schedule: the model's own posterior at the bridge's noise level is the bridge's."""
    told = vp_told(predicts, BetasSpec.model_validate(betas))
    for name in ("linear", "cosine"):
        field = field_of(told, predicts=predicts, betas=betas, bridge=SPECS[name])
        t = time_at(BRIDGES[name], gamma)
        assert t > field.first
        exact = ExactField(POINTS, bridge=BRIDGES[name]).evaluate(X, t).velocity
        assert float((field.evaluate(X, t).velocity - exact).norm() / exact.norm()) < 1e-9


def test_a_diffusion_model_at_its_ends() -> None:
    """Before its noisiest level it answers as there, up to O(γ); after its cleanest it is asked for s = 0."""
    field = field_of(vp_told("noise", BetasSpec()), predicts="noise", betas={})
    assert field.first == pytest.approx(0.0064, rel=0.02)
    start = ExactField(POINTS).evaluate(X, 0.0).velocity
    assert float((field.evaluate(X, 0.0).velocity - start).norm() / start.norm()) < 0.02
    asked: list[float] = []
    late = field_of(lambda z, s: asked.append(s) or z, predicts="noise", betas={})  # type: ignore[func-returns-value]
    late.evaluate(X, 1.0)
    late.evaluate(X, 0.0)
    assert asked == pytest.approx([0.0, 999.0], abs=1e-6)


def test_whole_levels_are_the_nearest() -> None:
    asked: list[float] = []
    spec = {"predicts": "noise", "betas": {}, "whole_times": True}
    field = field_of(lambda z, s: asked.append(s) or z, **spec)  # type: ignore[func-returns-value]
    table = schedule(BetasSpec()).log_ratio
    ratio = math.exp(0.7 * table[400] + 0.3 * table[401])
    field.evaluate(X, ratio / (1 + ratio))
    assert asked == [400]


def test_time_at_inverts_the_bridge(any_bridge: Bridge) -> None:
    for gamma in (1e-3, 0.2, 0.9):
        assert any_bridge.at(time_at(any_bridge, gamma)).gamma == pytest.approx(gamma, rel=1e-6)
