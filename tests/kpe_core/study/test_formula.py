"""Formulas of t: their values are Python's own, and nothing outside the grammar gets in."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpe_core.errors import UserError
from kpe_core.study.formula import parse

MATH = ("pi", "e", "sin", "cos", "tan", "exp", "log", "sqrt", "sinh", "cosh", "tanh")
NAMES = {name: getattr(math, name) for name in MATH}
NAMES |= {"abs": abs, "min": min, "max": max, "minimum": min, "maximum": max}


@pytest.mark.parametrize(
    "text",
    [
        "t", "3", "1e-3", "-t", "+t", "t**2*(3 - 2*t)", "2*t**-1.5/7", "1 - 2 - 3", "2**3**2", "-t**2", "(1 + t)*e",
        "sin(pi*t/2)**2", "cos(t) + tan(t) - exp(-t)", "log(t)*sqrt(t)", "tanh(t) + sinh(t)*cosh(t)",
        "abs(t - 0.5)", "min(t, 0.5) + maximum(t, 0.2) - minimum(2*t, 1)*max(0.1, t)",
        "t if t < 0.5 else 1 - t", "0 if t <= 0.2 else 1 if t > 0.9 else t", "2 if 0.1 < t < 0.3 else 3", "(t)", " t ",
    ],
)  # fmt: skip
def test_means_what_python_means(text: str) -> None:
    f, times = parse(text), np.linspace(0.05, 0.95, 19)
    expected = [eval(text.strip(), {"__builtins__": {}}, {**NAMES, "t": t}) for t in times.tolist()]
    assert f(times) == pytest.approx(expected, rel=1e-14, abs=1e-15)
    assert [f(t) for t in times.tolist()] == pytest.approx(expected, rel=1e-14, abs=1e-15)


def expressions() -> st.SearchStrategy[str]:
    leaves = st.sampled_from(["t", "pi", "0.5", "2", "1e-3"])
    return st.recursive(
        leaves,
        lambda inner: (
            st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner)
            | st.builds("{}({})".format, st.sampled_from(["sin", "tanh", "abs", "-"]), inner)
            | st.builds("({} if t < 0.5 else {})".format, inner, inner)
        ),
        max_leaves=12,
    )


@given(expressions(), st.floats(0, 1))
@settings(deadline=None, max_examples=100)
def test_any_expression_means_what_python_means(text: str, t: float) -> None:
    expected = eval(text, {"__builtins__": {}}, {**NAMES, "t": t})
    assert parse(text)(t) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_keeps_the_shape_and_gives_float64() -> None:
    assert parse("3")(np.zeros((2, 5))).shape == (2, 5)
    assert parse("t*2")(np.zeros((2, 5))).dtype == np.float64
    assert isinstance(parse("3")(0.5), float)


def test_undefined_is_nan_or_infinite_and_never_a_warning() -> None:
    assert math.isnan(parse("sqrt(t - 1)")(0.5))
    assert parse("1/t")(0.0) == math.inf
    assert parse("1/0")(0.0) == math.inf
    assert parse("sqrt(t - 0.5) if t > 0.5 else 0")(np.array([0.0, 0.75])).tolist() == [0.0, 0.5]


def test_breaks_are_where_conditionals_on_t_switch() -> None:
    assert parse("t if t < 0.7 else 1 if 1/4 >= t else 0").breaks == (0.25, 0.7)
    assert parse("1 if 0.1 < t <= 0.2 else 2").breaks == (0.1, 0.2)
    assert parse("1 if t*t < 0.5 else 2").breaks == ()
    assert parse("1 if t < 3 else 2").breaks == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sine(t)", "character 1: unknown name 'sine'; did you mean 'sin'?"),
        ("1 + tt", "character 5: unknown name 'tt'; did you mean 't'? allowed: t, pi, e"),
        ("x**2", "character 1: unknown name 'x'; allowed: t, pi, e"),
        ("2t", "cannot be read at character 1; write products with *"),
        ("t^2", "^ is not a power here; write **"),
        ("1 + (t", "cannot be read at character 5"),
        ("", "cannot be read"),
        ("\0", "cannot be read"),
        ("t = 1", "cannot be read"),
        ("t; t", "cannot be read"),
        ("'t'", "'t' is not a number"),
        ("True", "True is not a number"),
        ("2j", "2j is not a number"),
        ("None", "None is not a number"),
        ("...", "not allowed in a formula"),
        ("t.real", "not allowed in a formula"),
        ("().__class__.__bases__", "not allowed in a formula"),
        ("[t][0]", "not allowed in a formula"),
        ("t if t else 1", "a condition compares two values"),
        ("t if t == 1 else 1", "a condition compares with <, <=, > or >="),
        ("t < 1", "not allowed in a formula"),
        ("t % 2", "not allowed in a formula"),
        ("t and 1", "not allowed in a formula"),
        ("lambda: t", "not allowed in a formula"),
        ("(y := t)", "not allowed in a formula"),
        ("[t for t in t]", "not allowed in a formula"),
        ("f'{t}'", "not allowed in a formula"),
        ("__import__('os')", "unknown name '__import__'"),
        ("eval('t')", "unknown name 'eval'"),
        ("sin(t, t)", "sin takes 1 argument, not 2"),
        ("max(t)", "max takes 2 arguments, not 1"),
        ("sin(x=t)", "not allowed in a formula"),
        ("sin(*t)", "not allowed in a formula"),
        ("sin(t)(t)", "not allowed in a formula"),
        ("sin", "unknown name 'sin'"),
        ("9**9**9", "power 3.8742e+08; at most ±100 is allowed"),
        ("t**-101", "power -101; at most ±100 is allowed"),
        ("t**(0/0)", "power nan; at most ±100 is allowed"),
        ("1e999", "numbers beyond 1e+15 are not allowed"),
        ("9" * 300, "numbers beyond 1e+15 are not allowed"),
        ("-" * 41 + "t", "nested more than 40 deep"),
        ("(" * 250 + "t" + ")" * 250, "formula of 501 characters; at most 400 are allowed"),
        ("é + t", "character 1: unknown name 'é'"),
        ("pi*é", "character 4: unknown name 'é'"),
    ],
)
def test_refusals_say_where_and_what(text: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        parse(text)


@given(st.text(max_size=60))
@settings(deadline=None, max_examples=200)
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        value = parse(text)(0.5)
    except UserError:
        return
    assert isinstance(value, float)


def test_a_tower_of_powers_is_read_once() -> None:
    """Reading each power twice to look at it would take 2⁴⁰ steps."""
    parse("1**" * 38 + "t")
