"""ᾱ of the three kinds against diffusers' own schedulers."""

import numpy as np
import pytest

from kpe_core.fields.pretrained.schedule import schedule
from kpe_core.packages import declare_torchvision_operators
from kpe_core.study.specs import BetasSpec


@pytest.mark.parametrize(
    ("spec", "theirs"),
    [
        ({}, {"beta_schedule": "linear"}),
        (
            {"kind": "scaled_linear", "start": 0.00085, "end": 0.012},
            {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
        ),
        ({"kind": "cosine", "steps": 500}, {"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 500}),
    ],
)
def test_is_what_diffusers_has(spec: dict, theirs: dict) -> None:
    declare_torchvision_operators()
    from diffusers import DDPMScheduler

    expected = DDPMScheduler(**theirs).alphas_cumprod.numpy()
    assert np.allclose(schedule(BetasSpec.model_validate(spec)).alpha_bar, expected, rtol=2e-4, atol=1e-9)


@pytest.mark.parametrize("kind", ["linear", "scaled_linear", "cosine"])
def test_level_inverts_the_table(kind: str) -> None:
    levels = schedule(BetasSpec.model_validate({"kind": kind}))
    for s in (0, 1, 17, 500, 998, 999):
        a, b = np.sqrt(levels.alpha_bar[s]), np.sqrt(1 - levels.alpha_bar[s])
        assert levels.level(a / (a + b), b / (a + b)) == pytest.approx(s, abs=1e-6)
