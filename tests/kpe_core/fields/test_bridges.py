"""Bridges: γ, σ and γ̇ against 50-digit arithmetic, and whatever is no bridge refused by name."""

import re
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from kpe_core.errors import UserError
from kpe_core.fields.bridges import COSINE, LINEAR, Bridge, bridge, checked
from kpe_core.study.specs import BridgeSpec

SPEC: TypeAdapter[Any] = TypeAdapter(BridgeSpec)
LATE = 1.0 - 2.0 ** -np.arange(2.0, 50.0)


def of(document: Any) -> Bridge:
    return bridge(SPEC.validate_python(document))


def truth(gamma: Callable[[Any], Any], t: float) -> tuple[float, float, float]:
    with mpmath.workdps(50):
        exact = mpmath.mpf(t)
        return float(gamma(exact)), float(1 - gamma(exact)), float(mpmath.diff(gamma, exact))


SMOOTHSTEP = {"kind": "polynomial", "coefficients": [0, 3, -2]}
KNOWN: list[tuple[Any, Callable[[Any], Any]]] = [
    ("linear", lambda t: t),
    ({"kind": "linear"}, lambda t: t),
    ("cosine", lambda t: (1 - mpmath.cos(mpmath.pi * t)) / 2),
    (SMOOTHSTEP, lambda t: t**2 * (3 - 2 * t)),
    ({"kind": "polynomial", "coefficients": [0, 0, 1]}, lambda t: t**3),
    ({"kind": "polynomial", "coefficients": [3, -3, 1]}, lambda t: 1 - (1 - t) ** 3),
    ({"kind": "polynomial", "coefficients": [0.5, 0.5]}, lambda t: t / 2 + t**2 / 2),
]


@pytest.mark.parametrize(("document", "gamma"), [pytest.param(*known, id=str(known[0])) for known in KNOWN])
def test_closed_forms_keep_their_digits_to_the_end(document: Any, gamma: Callable[[Any], Any]) -> None:
    """σ to 13 digits even where 1 − t is 2⁻⁴⁹ and σ its square or cube."""
    here = of(document)
    for t in [0.0, 1e-9, 0.1, 0.5, 0.9, *LATE.tolist()]:
        m = here.at(t)
        assert (m.gamma, m.sigma, m.rate) == pytest.approx(truth(gamma, t), rel=1e-13, abs=1e-15)
        assert m.sigma == pytest.approx(truth(gamma, t)[1], rel=1e-13)


@pytest.mark.parametrize("document", [d for d, _ in KNOWN], ids=str)
def test_ends_are_exact(document: Any) -> None:
    here = of(document)
    assert here.at(0.0)[:2] == (0.0, 1.0)
    assert here.at(1.0)[:2] == (1.0, 0.0)


FORMULA = {"kind": "formula", "gamma": "t**2*(3 - 2*t)", "rate": "6*t*(1 - t)"}


@pytest.mark.parametrize("document", [*(d for d, _ in KNOWN), FORMULA], ids=str)
def test_one_time_is_a_float_and_many_are_an_array_of_the_same(document: Any) -> None:
    here, times = of(document), np.random.default_rng(0).random((7, 3))
    many = here.at(times)
    for i in np.ndindex(times.shape):
        one = here.at(float(times[i]))
        assert all(isinstance(value, float) for value in one)
        assert tuple(one) == tuple(float(m[i]) for m in many)
    assert all(m.shape == (7, 3) and m.dtype == np.float64 for m in many)


@given(weights=st.lists(st.floats(0, 1), min_size=1, max_size=6), t=st.floats(0, 1))
@example(weights=[0.0, 0.0, 1.0, 5e-324], t=0.0)  # dividing by the least coefficient overflows
@settings(deadline=None, max_examples=60)
def test_mixtures_of_powers_are_bridges(weights: list[float], t: float) -> None:
    total = sum(weights)
    assume(total > 0.1)
    coefficients = [w / total for w in weights]
    assume(any(coefficients[1:]))
    m = of({"kind": "polynomial", "coefficients": coefficients}).at(t)
    assert m.gamma == pytest.approx(sum(c * t ** (i + 1) for i, c in enumerate(coefficients)), abs=1e-14)
    assert m.rate == pytest.approx(sum(c * (i + 1) * t**i for i, c in enumerate(coefficients)), abs=1e-13)
    assert 0 <= m.gamma <= 1
    assert m.gamma + m.sigma == pytest.approx(1.0, abs=1e-15)


def test_formulas_agree_with_the_closed_forms() -> None:
    times = np.linspace(0, 1, 101)
    cosine = of({"kind": "formula", "gamma": "(1 - cos(pi*t))/2", "rate": "pi/2*sin(pi*t)"})
    for mine, theirs in ((of(FORMULA), of(SMOOTHSTEP)), (cosine, COSINE)):
        for a, b in zip(mine.at(times), theirs.at(times), strict=True):
            assert a == pytest.approx(b, abs=1e-14)


@pytest.mark.parametrize(
    ("gamma", "rate"),
    [
        ("t**1.5", "1.5*sqrt(t)"),
        ("log(1 + (e - 1)*t)", "(e - 1)/(1 + (e - 1)*t)"),
        ("(tanh(8*(t - 0.5))/tanh(4) + 1)/2", "4/tanh(4)/cosh(8*(t - 0.5))**2"),
        ("1.2*t if t < 1/3 else 0.4 + 0.9*(t - 1/3)", "1.2 if t < 1/3 else 0.9"),
        ("1 - (1 - t)**4", "4*(1 - t)**3"),
    ],
)
def test_formulas_that_are_bridges(gamma: str, rate: str) -> None:
    here = of({"kind": "formula", "gamma": gamma, "rate": rate})
    assert here.at(0.0).gamma == pytest.approx(0, abs=1e-15)
    assert here.at(1.0).sigma == pytest.approx(0, abs=1e-15)


def test_a_conditional_is_a_break() -> None:
    two_speeds = of(
        {"kind": "formula", "gamma": "2*t/3 if t < 0.6 else 1.5*t - 0.5", "rate": "2/3 if t < 0.6 else 1.5"}
    )
    assert two_speeds.breaks == (0.6,)
    assert LINEAR.breaks == COSINE.breaks == ()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("cosin", "expected tags: 'linear', 'cosine', 'polynomial', 'formula'"),
        ({"kind": "polynomial", "coefficients": []}, "at least 1 item"),
        ({"kind": "polynomial", "coefficients": [1]}, "write `bridge: linear`"),
        ({"kind": "polynomial", "coefficients": [1, 0.0]}, "write `bridge: linear`"),
        ({"kind": "polynomial", "coefficients": [0, 4, -2]}, "sum to 2; gamma(1) = 1 needs them to sum to 1"),
        ({"kind": "polynomial", "coefficients": [0, 4, -3]}, "gamma falls at t = 1 (slope -1)"),
        ({"kind": "polynomial", "coefficients": [4, -9, 6]}, "gamma falls at t = 0.5 (slope -0.5)"),
        ({"kind": "polynomial", "coefficients": [-1, 2]}, "gamma falls at t = 0 (slope -1)"),
        ({**FORMULA, "gamma": "t + 1"}, "gamma(0) = 1 and gamma(1) = 2; a bridge needs gamma(0) = 0"),
        ({**FORMULA, "gamma": "t*0.999"}, "gamma(1) = 0.999"),
        ({**FORMULA, "gamma": "sin(2.5*pi*t)"}, "gamma does not increase between t = 0.2 (1)"),
        ({**FORMULA, "gamma": "min(2*t, 1)", "rate": "2 if t < 0.5 else 0"}, "does not increase between t = 0.5 (1)"),
        ({**FORMULA, "rate": "6*t*(1 - t) + 1e-4"}, "at t = 0.0005 rate gives 0.0030985, gamma's slope is 0.0029985"),
        ({**FORMULA, "rate": "6*t*(1 - t) if t < 0.9 else 1"}, "at t = 0.9 rate gives 1, gamma's slope is 0.54"),
        ({**FORMULA, "rate": "6*t*(1 - t) if t > 0 else 3"}, "at t = 0 rate gives 3, gamma's slope is"),
        ({**FORMULA, "rate": "6*t*(1 - t) if t < 1 else 3"}, "at t = 1 rate gives 3, gamma's slope is"),
        ({**FORMULA, "gamma": "sqrt(t)", "rate": "0.5/sqrt(t)"}, "rate is inf at t = 0; it must be finite"),
        ({**FORMULA, "gamma": "sqrt(t - 0.1)"}, "gamma is nan at t = 0"),
        ({**FORMULA, "gamma": "0.8*t if t < 0.5 else 0.8*t + 0.2", "rate": "0.8"}, "gamma jumps between t = 0.4995"),
        ({**FORMULA, "gamma": "t**x"}, "unknown name 'x'"),
    ],
    ids=str,
)
def test_no_bridges(document: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        SPEC.validate_python(document)


@given(t0=st.floats(0, 1), wrong=st.floats(1e-5, 1))
@settings(deadline=None, max_examples=40)
def test_a_wrong_rate_is_found_wherever_it_is(t0: float, wrong: float) -> None:
    """A bump of width 0.003 on γ̇, wherever and however small above the tolerance."""

    def rate(t: np.ndarray) -> np.ndarray:
        return 1 + wrong * (np.abs(t - t0) < 0.0015)

    with pytest.raises(UserError, match="rate is not the derivative") as refused:
        checked(lambda t: t, rate)
    found = re.search(r"at t = ([0-9.e-]+) rate", str(refused.value))
    assert found is not None
    assert abs(float(found.group(1)) - t0) < 0.002


@given(coefficients=st.lists(st.floats(-3, 3), min_size=1, max_size=4))
@settings(deadline=None, max_examples=100)
def test_polynomials_are_refused_exactly_when_they_fall(coefficients: list[float]) -> None:
    coefficients = [*coefficients, 1 - sum(coefficients)]
    slope = np.polynomial.Polynomial([0, *coefficients]).deriv()(np.linspace(0, 1, 20_001))
    assume(np.abs(slope.min()) > 1e-6)
    assume(any(coefficients[1:]))
    try:
        SPEC.validate_python({"kind": "polynomial", "coefficients": coefficients})
        accepted = True
    except ValidationError:
        accepted = False
    assert accepted == (slope.min() > 0)


def test_your_own_functions() -> None:
    mine = checked(lambda t: np.sin(np.pi * t / 2), lambda t: np.pi / 2 * np.cos(np.pi * t / 2))
    assert mine.at(1 / 3) == pytest.approx((0.5, 0.5, np.pi / 2 * np.sqrt(0.75)))


@pytest.mark.parametrize(
    ("document", "order"), [("linear", 1), ("cosine", 2), (SMOOTHSTEP, 2), ({**FORMULA}, 2),
                            ({"kind": "polynomial", "coefficients": [3, -3, 1]}, 3)]
)  # fmt: skip
def test_closing_order_is_the_power_with_which_noise_vanishes(document: Any, order: int) -> None:
    assert of(document).closing_order == pytest.approx(order, rel=1e-3)
