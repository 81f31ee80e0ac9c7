"""Landing on the exact field: the particle is held back, the field pulls harder (METHOD §7).

With one training point x_k and constant landing β from τ on, u = x_k − x obeys u̇ = −(1 − β) u/(1 − t), so

    u(t) = u(0) (1 − τ) ((1 − t)/(1 − τ))^(1 − β),   ‖v‖ = ‖u‖/(1 − t) ~ (1 − t)^(−β),
    late E = ½ (1 − β)² ‖u(0)‖² (1 − τ)/(1 − 2β)   for β < ½, and without bound beyond.
"""

import numpy as np
import pytest
import torch

from kpe_core.fields.efm import ExactField
from kpe_core.sampling.energy import Energies, energies
from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.sampler import trajectory
from kpe_core.sampling.shaping import gain
from kpe_core.study.specs import ShapingSpec

TAU = 0.6
POINT, START = torch.tensor([[3.0, 4.0]], dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
GAP = 5.0


def land(beta0: float, steps: int) -> tuple[np.ndarray, np.ndarray, Energies]:
    """Times, ‖v‖ at each and the energies of one shaped path from the origin."""
    times = time_grid("uniform", steps)
    eta = gain(ShapingSpec(beta0=beta0, tau=TAU, landing="constant"), times)
    taken = list(trajectory(ExactField(POINT), START, None, times, eta, "euler"))
    power = torch.stack([s.power for s in taken], dim=1).numpy()
    return times[:-1], np.sqrt(power[0]), energies(power, times, eta, TAU)


def test_speed_grows_as_a_power_of_the_time_left() -> None:
    t, speed, _ = land(0.3, 2000)
    assert speed[t <= TAU] == pytest.approx(GAP, rel=1e-9), "unshaped, the path is straight"
    late = (t > TAU) & (t < 0.99)
    assert speed[late] == pytest.approx(GAP * ((1 - t[late]) / (1 - TAU)) ** -0.3, rel=0.02)


@pytest.mark.parametrize("beta0", [0.0, 0.05, 0.1])
def test_weak_landing_costs_a_finite_late_energy(beta0: float) -> None:
    expected = 0.5 * (1 - beta0) ** 2 * GAP**2 * (1 - TAU) / (1 - 2 * beta0)
    assert land(beta0, 2000)[2].kpe_late.item() == pytest.approx(expected, rel=0.005)


def test_strong_landing_costs_energy_without_bound() -> None:
    """Lemma 5.1's blow-up: for β > ½ the energy grows like NFE^(2β − 1)."""
    energy = [land(0.75, n)[2].kpe_late.item() for n in (250, 1000, 4000)]
    growth = energy[2] / energy[1]
    assert growth == pytest.approx(4 ** (2 * 0.75 - 1), rel=0.05)
    assert energy[1] / energy[0] > 1.8
