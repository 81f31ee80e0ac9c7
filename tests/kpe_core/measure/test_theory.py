"""Theorem 4.2's regression and Lemma 5.1's exponent: against SciPy, against brute force, against simulated paths."""

import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logsumexp

from kpe_core.fields.bridges import COSINE, LINEAR, Bridge
from kpe_core.fields.efm import ExactField
from kpe_core.measure.theory import Regression, growth, growth_window, predicted, predicted_growth
from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.path import follow
from kpe_core.sampling.sampler import Course
from kpe_core.sampling.shaping import gain, landing_exponent
from kpe_core.study.specs import ShapingSpec

WITHIN = {"euler": 1e-9, "midpoint": 0.01, "heun": 0.02, "heun_ke": 0.02, "rk4": 5e-3, "dopri5": 5e-3}
"""Euler's exponent is predicted by its very recursion; the others' by d log‖m − x‖ = η d log σ, which knows nothing of
their own error where the bridge closes quadratically."""
BRIDGES = pytest.mark.parametrize("bridge", [LINEAR, COSINE], ids=["linear", "cosine"])


# -- the regression ----------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(3, 40), cut=st.integers(1, 39), offset=st.sampled_from([0.0, 1e6]))
def test_regression_in_parts_is_scipys(seed: int, n: int, cut: int, offset: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)) + offset
    y = 3 * x + rng.normal(size=(n, 4))
    cut = min(cut, n - 1)
    both = Regression.of(x[:cut], y[:cut]) + Regression.of(x[cut:], y[cut:])
    assert both.n == n
    for j in range(4):
        truth = stats.linregress(x[:, j] - offset, y[:, j])
        assert both.slope[j] == pytest.approx(truth.slope, rel=1e-7)
        assert both.r2[j] == pytest.approx(truth.rvalue**2, rel=1e-7)
        assert both.intercept[j] + both.slope[j] * offset == pytest.approx(truth.intercept, abs=1e-7 * (1 + offset))


def test_what_does_not_vary_has_no_regression() -> None:
    constant, varying = np.ones((5, 1)), np.arange(5.0)[:, None]
    assert np.isnan(Regression.of(constant, varying).slope).all()
    assert np.isnan(Regression.of(constant, varying).r2).all()
    flat = Regression.of(varying, constant)
    assert flat.slope[0] == 0
    assert np.isnan(flat.r2[0])


# -- Theorem 4.2 -------------------------------------------------------------------------------------------------------


def drawn(points: np.ndarray, bridge: Bridge, t: float, each: int) -> tuple[np.ndarray, np.ndarray]:
    """−log p_t and ‖v*‖² where x = γ x_k + σ z, z drawn ``each`` times a point; float64 log-sum-exp over all points."""
    rng = np.random.default_rng(1)
    n, d = points.shape
    gamma, sigma, rate = bridge.at(t)
    minus_log_p, power = [], []
    for point in points:
        x = gamma * point + sigma * rng.normal(size=(each, d))
        log_w = -((x[:, None] - gamma * points) ** 2).sum(axis=2) / (2 * sigma**2)
        total = logsumexp(log_w, axis=1)
        minus_log_p.append(math.log(n) + 0.5 * d * math.log(2 * math.pi * sigma**2) - total)
        power.append((rate**2 * (np.exp(log_w - total[:, None]) @ points - x) ** 2 / sigma**2).sum(axis=1))
    return np.concatenate(minus_log_p), np.concatenate(power)


@BRIDGES
@pytest.mark.parametrize(("scale", "slope_within"), [(0.5, 0.015), (1.5, 0.06)])
def test_prediction_is_what_brute_force_measures(bridge: Bridge, scale: float, slope_within: float) -> None:
    rng = np.random.default_rng(0)
    points = scale * rng.normal(size=(30, 32)) * rng.uniform(0.8, 1.2, size=(30, 1))
    at = bridge.at(np.array([0.88]))
    x, y = drawn(points, bridge, 0.88, 1500)
    measured, said = Regression.of(x[:, None], y[:, None]), predicted(points, math.log(30), at.sigma, at.rate)
    assert stats.linregress(x, y).stderr < slope_within * said.slope[0] / 3, "the test can tell"
    assert measured.slope == pytest.approx(said.slope, rel=slope_within)
    assert measured.r2 == pytest.approx(said.r2, abs=0.015)
    # The line runs through the means, so there slope and intercept are tested together.
    assert (said.intercept + said.slope * x.mean())[0] == pytest.approx(y.mean(), rel=0.01)


def test_prediction_in_one_dimension_by_hand() -> None:
    """Points ±1 (norms all 1), t = ½: slope 2, C = log 2 + ½ log 2π − log 2, intercept 1 − 2C, R² = 2 / (2 + 4)."""
    said = predicted(np.array([[1.0], [-1.0]]), math.log(2), np.array([0.5]), np.array([1.0]))
    assert said.slope[0] == 2
    assert said.intercept[0] == pytest.approx(1 - math.log(2 * math.pi))
    assert said.r2 == pytest.approx(1 / 3)


# -- Lemma 5.1 ---------------------------------------------------------------------------------------------------------


@BRIDGES
@settings(max_examples=20, deadline=None)
@given(
    exponents=st.lists(st.floats(-1, 1), min_size=1, max_size=4), size=st.floats(1e-3, 1e3), steps=st.integers(25, 200)
)
def test_growth_reads_the_exponent_off_a_power_law(
    bridge: Bridge, exponents: list[float], size: float, steps: int
) -> None:
    at = bridge.at(time_grid("uniform", steps)[:-1])
    c = np.array(exponents)
    power = (size * at.rate * at.sigma ** -c[:, None]) ** 2
    assert growth(power, at.sigma, at.rate) == pytest.approx(c, abs=1e-9)


def test_growth_needs_three_steps_before_the_last_two() -> None:
    assert growth_window(100) == slice(80, 98)
    for steps in (1, 2, 20):
        at = LINEAR.at(time_grid("uniform", steps)[:-1])
        assert np.isnan(growth(np.ones((3, steps)), at.sigma, at.rate)).all()
        assert math.isnan(predicted_growth(time_grid("uniform", steps)[:-1], np.ones(steps), at.sigma, at.rate, True))


@BRIDGES
@pytest.mark.parametrize("beta0", [0.0, 0.2, 0.6])
def test_constant_landing_grows_with_one_minus_eta(bridge: Bridge, beta0: float) -> None:
    t = time_grid("uniform", 200)[:-1]
    at = bridge.at(t)
    assert predicted_growth(t, np.full(200, 1 - beta0), at.sigma, at.rate, euler=False) == pytest.approx(
        beta0, abs=1e-12
    )


@BRIDGES
@pytest.mark.parametrize(
    "shaping", [ShapingSpec(), ShapingSpec(beta0=0.03), ShapingSpec(alpha0=0.5), ShapingSpec(eta="1-t/2")]
)
@pytest.mark.parametrize("solver", WITHIN)
def test_prediction_is_what_paths_to_a_single_point_show(bridge: Bridge, shaping: ShapingSpec, solver: str) -> None:
    times = time_grid("uniform", 100)
    point = torch.tensor([[3.0, 4.0, 0.0]], dtype=torch.float64)
    x0 = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    course = Course(times, functools.partial(gain, shaping), solver)
    power = follow(ExactField(point, bridge=bridge), x0, None, course, 0.6).spent.power
    t = times[:-1]
    at = bridge.at(t)
    said = predicted_growth(t, gain(shaping, t), at.sigma, at.rate, euler=solver == "euler")
    assert growth(power, at.sigma, at.rate) == pytest.approx(said, abs=WITHIN[solver])
    if shaping == ShapingSpec(beta0=0.03):
        assert 0.2 < said < landing_exponent(shaping) if bridge is LINEAR else said > 0.1
