"""Kinetic trajectory shaping: the gain η(t) of METHOD §4, number by number."""

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from kpe_core.sampling.shaping import breaks, gain, landing_exponent, landing_limit
from kpe_core.study.specs import ShapingSpec

A, B, TAU, K = 0.3, 0.02, 0.6, 3.0
JUST_BEFORE = np.nextafter(TAU, 0.0)


def eta(t: float, **choices: Any) -> float:
    return gain(ShapingSpec.model_validate(choices), t)


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


FORMS = ("linear", "constant", "exponential")


@pytest.mark.parametrize("launch", FORMS)
@pytest.mark.parametrize("landing", FORMS)
def test_zeros_are_exactly_the_plain_sampler(launch: str, landing: str) -> None:
    spec = ShapingSpec.model_validate({"launch": launch, "landing": landing, "tau": 0.37, "rate": 7.0})
    assert spec == ShapingSpec()
    assert np.array_equal(gain(spec, np.linspace(0, 1, 101)), np.ones(101))


@given(alpha0=st.floats(0, 1e-5), beta0=st.floats(0, 1e-5), tau=st.floats(0.05, 0.95), t=st.floats(0, 1))
@settings(deadline=None, max_examples=50)
def test_one_gain_alone_leaves_the_other_side_of_tau_exactly_1(
    alpha0: float, beta0: float, tau: float, t: float
) -> None:
    assert t < tau or eta(t, alpha0=alpha0, tau=tau) == 1.0
    assert t > tau or eta(t, beta0=beta0, tau=tau) == 1.0


GAINS: dict[str, dict[str, Any]] = {
    **{f"{a}-{b}": {"alpha0": A, "beta0": B, "launch": a, "landing": b, "tau": 0.37} for a in FORMS for b in FORMS},
    "formula": {"eta": "1 + 0.3*sin(5*t)*exp(-t) if t < 0.7 else 1.1 - t**3"},
    "table": {"eta": [[0, 1.2], [0.3, 0.9], [1, 0]]},
}


@pytest.mark.parametrize("choices", GAINS.values(), ids=GAINS.keys())
def test_one_time_has_the_bits_of_many(choices: dict[str, Any]) -> None:
    spec = ShapingSpec.model_validate(choices)
    times = np.sort(np.random.default_rng(0).random((50, 4)), axis=0)
    many = gain(spec, times)
    assert many.shape == (50, 4)
    assert many.ravel().tolist() == [gain(spec, t) for t in times.ravel().tolist()]
    assert isinstance(gain(spec, 0.3), float)


@pytest.mark.parametrize("tau", [0.1, 0.6, 0.9])
@pytest.mark.parametrize(
    ("landing", "rate", "limit"),
    [("exponential", 3.0, 1 / math.expm1(3)), ("exponential", 0.5, 1 / math.expm1(0.5)), ("linear", 3.0, 1.0)],
)
def test_landing_may_end_at_zero_but_not_reach_it_before(landing: str, rate: float, limit: float, tau: float) -> None:
    at_limit = ShapingSpec.model_validate({"beta0": limit, "landing": landing, "rate": rate, "tau": tau})
    values = gain(at_limit, np.linspace(0, 1, 1001))
    assert values[-1] == pytest.approx(0.0, abs=1e-15)
    assert values.min() >= 0.0
    assert values[:-1].min() > 0.0
    with pytest.raises(ValidationError, match="before t = 1") as refused:
        ShapingSpec.model_validate({"beta0": 1.7 * limit, "landing": landing, "rate": rate, "tau": tau})
    t = stopped_at(refused.value)
    r = (t - tau) / (1 - tau)
    assert 1.7 * limit * (math.expm1(rate * r) if landing == "exponential" else r) == pytest.approx(1.0, abs=1e-4)


def stopped_at(refused: ValidationError) -> float:
    found = re.search(r"at t = ([0-9.e-]+)", str(refused))
    assert found is not None
    return float(found.group(1))


def test_constant_landing_stops_at_tau_or_not_at_all() -> None:
    assert eta(1.0, beta0=0.999, landing="constant") == pytest.approx(0.001)
    with pytest.raises(ValidationError, match=r"zero at t = 0\.6, .* allowed: 0 ≤ beta0 < 1") as refused:
        ShapingSpec(beta0=1.0, landing="constant")
    assert stopped_at(refused.value) == TAU


def test_exponential_limit_is_the_published_one() -> None:
    ShapingSpec(beta0=0.0523)
    with pytest.raises(ValidationError, match=r"allowed: 0 ≤ beta0 ≤ 0\.0524"):
        ShapingSpec(beta0=0.0525)


@given(t=st.floats(0, 1))
@settings(deadline=None, max_examples=50)
def test_a_formula_and_a_table_are_what_they_say(t: float) -> None:
    assert eta(t, eta="1 - 0.5*t**2") == pytest.approx(1 - 0.5 * t**2, abs=1e-15)
    nodes = [[0, 1.5], [0.25, 1], [0.5, 0.25], [1, 2]]
    slopes = [(1.5 - 2 * t), 1 - 3 * (t - 0.25), 0.25 + 3.5 * (t - 0.5)]
    expected = slopes[0] if t < 0.25 else slopes[1] if t < 0.5 else slopes[2]
    assert eta(t, eta=nodes) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize(
    ("given_eta", "t"),
    [
        ("1 - 2*t", 0.5),
        ("-1", 0.0),
        ("t", 0.0),
        ("cos(pi*t/1.5)", 0.75),
        ("(t - 1/3)**2", 1 / 3),
        ("abs(t - 0.12345678)", 0.12345678),
        ("1 - 1.0001*exp(-((t - 0.70003)/0.00005)**2)", 0.7),
        ("1 if t < 0.3 else -1 if t < 0.4 else 1", 0.3),
        ("1 - t if t < 1 else -0.1", 1.0),
        ([[0, 0], [1, 1]], 0.0),
        ([[0, 1], [0.5, 0], [1, 1]], 0.5),
        ([[0, 1], [0.5, -0.25], [1, 1]], 0.4),
        ([[0, 1], [0.5, 1], [1, -1]], 0.75),
    ],
)
def test_a_given_gain_that_stops_is_refused_with_the_time(given_eta: Any, t: float) -> None:
    with pytest.raises(ValidationError, match="must be positive for every t < 1") as refused:
        ShapingSpec.model_validate({"eta": given_eta})
    assert stopped_at(refused.value) == pytest.approx(t, abs=1e-4)


@pytest.mark.parametrize("given_eta", ["1 - t", "(1 - t)**5", "1 + 0.999*sin(300*t)", [[0, 2], [1, 0]], "1e-6 + t"])
def test_a_given_gain_may_end_at_zero(given_eta: Any) -> None:
    values = gain(ShapingSpec.model_validate({"eta": given_eta}), np.linspace(0, 1, 5001))
    assert values[:-1].min() > 0
    assert values[-1] >= 0


@given(roots=st.lists(st.floats(0.001, 0.999), min_size=1, max_size=3))
@settings(deadline=None, max_examples=50)
def test_the_time_named_is_the_first_root(roots: list[float]) -> None:
    """Of a product of factors that change sign at the roots, or touch zero where two agree."""
    text = "*".join(f"(t - {r!r})" for r in roots)
    sign = "" if len(roots) % 2 == 0 else "-"
    with pytest.raises(ValidationError, match="must be positive") as refused:
        ShapingSpec(eta=f"{sign}({text})")
    assert stopped_at(refused.value) == pytest.approx(min(roots), abs=3e-5)


def test_breaks() -> None:
    assert breaks(ShapingSpec()) == ()
    assert breaks(ShapingSpec(alpha0=0.1, tau=0.3)) == (0.3,)
    assert breaks(ShapingSpec(eta=((0.0, 1.0), (0.2, 2.0), (0.7, 1.0), (1.0, 1.0)))) == (0.2, 0.7)
    assert breaks(ShapingSpec(eta="1 if t < 0.4 else 2")) == (0.4,)
    assert breaks(ShapingSpec(eta="1 + t")) == ()


@pytest.mark.parametrize(
    ("choices", "exponent"),
    [
        ({}, 0.0),
        ({"alpha0": 3.0}, 0.0),
        ({"beta0": 0.02}, 0.02 * math.expm1(3)),
        ({"beta0": 0.02, "rate": 2.0}, 0.02 * math.expm1(2)),
        ({"beta0": 0.3, "landing": "linear"}, 0.3),
        ({"beta0": 0.3, "landing": "constant", "tau": 0.2}, 0.3),
        ({"eta": "1 - t"}, 1.0),
        ({"eta": [[0, 1], [1, 1.5]]}, -0.5),
    ],
)
def test_landing_exponent_is_what_is_missing_from_1_at_the_end(choices: dict[str, Any], exponent: float) -> None:
    spec = ShapingSpec.model_validate(choices)
    assert landing_exponent(spec) == pytest.approx(exponent, rel=1e-12)
    assert landing_exponent(spec) == pytest.approx(1 - gain(spec, 1.0), abs=1e-12)


def test_energy_diverges_from_the_published_gain_on() -> None:
    """METHOD §7: on the linear bridge from β₀ = 0.026 on; a bridge that closes faster bears more."""
    assert landing_exponent(ShapingSpec(beta0=0.026)) < landing_limit() < landing_exponent(ShapingSpec(beta0=0.0263))
    assert landing_exponent(ShapingSpec(beta0=0.0263)) < landing_limit(closing_order=2)
    assert landing_exponent(ShapingSpec(beta0=0.75, landing="linear")) >= landing_limit(closing_order=2)
    assert landing_exponent(ShapingSpec(beta0=0.74, landing="linear")) < landing_limit(closing_order=2)


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
