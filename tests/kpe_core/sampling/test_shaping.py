"""Kinetic trajectory shaping: the gain η(t) of METHOD §4, number by number."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpe_core.sampling.shaping import gain
from kpe_core.study.specs import ShapingSpec

A, B, TAU, K = 0.3, 0.02, 0.6, 3.0
JUST_BEFORE = np.nextafter(TAU, 0.0)


def eta(t: float, **choices: Any) -> float:
    return float(gain(ShapingSpec(**choices), np.array([t]))[0])


@pytest.mark.parametrize(
    ("launch", "at_zero", "halfway", "just_before_tau"),
    [
        ("linear", A, A / 2, 0.0),
        ("constant", A, A, A),
        ("exponential", A, A * (math.exp(K / 2) - 1) / (math.exp(K) - 1), 0.0),
    ],
)
def test_launch(launch: str, at_zero: float, halfway: float, just_before_tau: float) -> None:
    """η = 1 + α(t) before τ; landing absent, η = 1 after it."""
    here = [eta(t, alpha0=A, tau=TAU, launch=launch) for t in (0.0, TAU / 2, JUST_BEFORE, TAU, 0.8, 1.0)]
    expected = [1 + at_zero, 1 + halfway, 1 + just_before_tau, 1.0, 1.0, 1.0]
    assert here == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("landing", "at_tau", "halfway", "at_one"),
    [
        ("exponential", 0.0, B * (math.exp(K / 2) - 1), B * (math.exp(K) - 1)),
        ("linear", 0.0, B / 2, B),
        ("constant", B, B, B),
    ],
)
def test_landing(landing: str, at_tau: float, halfway: float, at_one: float) -> None:
    """η = 1 − β(t) from τ on; launch absent, η = 1 before it."""
    here = [eta(t, beta0=B, tau=TAU, landing=landing) for t in (0.0, 0.3, JUST_BEFORE, TAU, 0.8, 1.0)]
    expected = [1.0, 1.0, 1.0, 1 - at_tau, 1 - halfway, 1 - at_one]
    assert here == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("launch", ["linear", "constant", "exponential"])
@pytest.mark.parametrize("landing", ["linear", "constant", "exponential"])
def test_zeros_are_exactly_the_plain_sampler(launch: str, landing: str) -> None:
    spec = ShapingSpec.model_validate({"launch": launch, "landing": landing, "tau": 0.37, "rate": 7.0})
    assert spec.is_plain
    assert np.array_equal(gain(spec, np.linspace(0, 1, 101)), np.ones(101))


@pytest.mark.parametrize("landing", ["linear", "constant", "exponential"])
def test_largest_beta0_stops_at_one_and_never_reverses(landing: str) -> None:
    limit = ShapingSpec.model_validate({"landing": landing}).beta0_limit
    assert eta(1.0, beta0=limit, landing=landing) == pytest.approx(0.0, abs=1e-12)
    over_time = gain(ShapingSpec.model_validate({"landing": landing, "beta0": limit}), np.linspace(0, 1, 1001))
    assert over_time.min() >= -1e-12


def test_exponential_limit_is_the_published_one() -> None:
    assert ShapingSpec().beta0_limit == pytest.approx(1 / (math.e**3 - 1))
    assert ShapingSpec().beta0_limit == pytest.approx(0.0524, abs=5e-5)


@given(t=st.floats(0, 1), tau=st.floats(0.05, 0.95), alpha0=st.floats(0, 10))
@settings(deadline=None, max_examples=50)
def test_exponential_launch_becomes_linear_at_small_rates(t: float, tau: float, alpha0: float) -> None:
    slow = eta(t, alpha0=alpha0, tau=tau, launch="exponential", rate=1e-7)
    assert slow == pytest.approx(eta(t, alpha0=alpha0, tau=tau, launch="linear"), abs=1e-5)


@given(alpha0=st.floats(0, 1), beta0=st.floats(0, 0.05), tau=st.floats(0.05, 0.95))
@settings(deadline=None, max_examples=50)
def test_launch_and_landing_only_ever_fade_and_grow(alpha0: float, beta0: float, tau: float) -> None:
    """With the default forms η falls over all of [0, 1], from 1 + α₀ through 1 at τ."""
    spec = ShapingSpec(alpha0=alpha0, beta0=beta0, tau=tau)
    values = gain(spec, np.linspace(0, 1, 201))
    assert np.all(np.diff(values) <= 1e-12)
    assert values[0] == pytest.approx(1 + alpha0)
    assert eta(tau, alpha0=alpha0, beta0=beta0, tau=tau) == pytest.approx(1.0)
