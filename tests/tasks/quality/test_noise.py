"""Noise tests against what they should say: uniform p-values under N(0, 1), tiny ones under what is not."""

from collections.abc import Callable

import numpy as np
import pytest

from kpe_core.sampling.noise import initial_noise
from tasks.quality.noise import normality

RIGHT = initial_noise(0, 0, 200, 50)


def test_p_values_are_uniform_on_right_noise() -> None:
    """Of 400 seeds, each p-value falls below a level as often as the level says (within four standard deviations)."""
    found = [normality(initial_noise(seed, 0, 50, 6)) for seed in range(400)]
    for name in found[0]:
        p = np.array([each[name] for each in found])
        for level in (0.05, 0.5):
            assert abs((p < level).mean() - level) < 4 * np.sqrt(level * (1 - level) / 400), (name, level)


WRONG: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean_p": lambda x: x + 0.1,
    "variance_p": lambda x: 1.05 * x,
    "ks_p": lambda x: np.sign(x),
    "pair_p": lambda x: np.repeat(x[::2], 2, axis=0),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_noise_is_told(name: str) -> None:
    assert normality(RIGHT)[name] > 1e-4
    assert normality(WRONG[name](RIGHT))[name] < 1e-4


def test_what_is_not_finite_fails_and_a_single_value_passes() -> None:
    broken = RIGHT.copy()
    broken[7, 3] = np.nan
    assert set(normality(broken).values()) == {0.0}
    assert min(normality(initial_noise(0, 0, 1, 1)).values()) > 1e-4
