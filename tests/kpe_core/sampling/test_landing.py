"""Landing on the exact field: the particle is held back, the field pulls harder (METHOD §7).

With one training point x_k and constant landing β from τ on, u = x_k − x obeys du/dσ = (1 − β) u/σ, so that

    ‖v‖ = γ̇‖u‖/σ,   u(t) = u(τ) (σ(t)/σ(τ))^(1 − β)   for t ≥ τ, whatever the bridge;

on the linear one, ‖v‖ ~ (1 − t)^(−β) and late E = ½ (1 − β)² ‖u(0)‖² (1 − τ)/(1 − 2β) for β < ½, without bound beyond.
"""

import functools

import numpy as np
import pytest
import torch

from kpe_core.fields.bridges import COSINE, LINEAR, Bridge
from kpe_core.fields.efm import ExactField
from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.sampler import Course, trajectory
from kpe_core.sampling.shaping import gain, landing_exponent, landing_limit
from kpe_core.study.specs import ShapingSpec

TAU = 0.6
POINT, START = torch.tensor([[3.0, 4.0]], dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
GAP = 5.0


def landing(beta0: float) -> ShapingSpec:
    return ShapingSpec(beta0=beta0, tau=TAU, landing="constant")


def land(beta0: float, steps: int, bridge: Bridge = LINEAR) -> tuple[np.ndarray, np.ndarray, float]:
    """Times, ‖v‖ at each and the late energy of one shaped path from the origin."""
    times = time_grid("uniform", steps)
    course = Course(times, functools.partial(gain, landing(beta0)))
    taken = list(trajectory(ExactField(POINT, bridge=bridge), START, None, course))
    power = torch.cat([s.power for s in taken]).numpy()
    energy = torch.cat([s.energy for s in taken]).numpy()
    return times[:-1], np.sqrt(power), float(energy[times[:-1] >= TAU - 1e-9].sum())


def test_speed_grows_as_a_power_of_the_time_left() -> None:
    t, speed, _ = land(0.3, 2000)
    assert speed[t <= TAU] == pytest.approx(GAP, rel=1e-9), "unshaped, the path is straight"
    late = (t > TAU) & (t < 0.99)
    assert speed[late] == pytest.approx(GAP * ((1 - t[late]) / (1 - TAU)) ** -0.3, rel=0.02)


@pytest.mark.parametrize("beta0", [0.1, 0.6])
def test_speed_on_the_cosine_bridge(beta0: float) -> None:
    """σ ~ (1 − t)² turns the speed into (1 − t)^(1 − 2β): it falls for weak landing, and grows for strong."""
    t, speed, _ = land(beta0, 2000, COSINE)
    at, at_tau = COSINE.at(t), COSINE.at(TAU)
    assert speed[t <= TAU] == pytest.approx(GAP * at.rate[t <= TAU], rel=2e-3), "straight, at the bridge's own pace"
    late = (t > TAU) & (t < 0.97)
    expected = GAP * at.rate / at.sigma * at_tau.sigma * (at.sigma / at_tau.sigma) ** (1 - beta0)
    assert speed[late] == pytest.approx(expected[late], rel=0.03)


@pytest.mark.parametrize("beta0", [0.0, 0.05, 0.1])
def test_weak_landing_costs_a_finite_late_energy(beta0: float) -> None:
    expected = 0.5 * (1 - beta0) ** 2 * GAP**2 * (1 - TAU) / (1 - 2 * beta0)
    assert land(beta0, 2000)[2] == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize(("bridge", "order"), [(LINEAR, 1), (COSINE, 2)])
@pytest.mark.parametrize("excess", [-0.15, 0.15])
def test_strong_landing_costs_energy_without_bound(bridge: Bridge, order: int, excess: float) -> None:
    """Lemma 5.1's blow-up: beyond β = 1 − 1/(2q) energy grows like NFE^(1 − 2q(1 − β)), and before it has a limit."""
    beta0 = 1 - 1 / (2 * order) + excess
    energy = [land(beta0, n, bridge)[2] for n in (250, 1000, 4000)]
    growth = (energy[2] - energy[1]) / (energy[1] - energy[0])
    assert growth == pytest.approx(4 ** (2 * order * excess), rel=0.25), "the tail's own power, on either side"
    assert (landing_exponent(landing(beta0)) >= landing_limit(bridge.closing_order)) == (excess > 0)
