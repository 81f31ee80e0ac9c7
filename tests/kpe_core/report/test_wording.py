"""Numbers as a reader wants them."""

import math

import pytest

from kpe_core.report.wording import cell, finite, joined, p_value, percent, points, signed, significant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (626.4, "626"),
        (0.16667, "0.167"),
        (9.996, "10.0"),
        (-12.24, "−12.2"),
        (1234567.0, "1.23e6"),
        (0.0000123, "1.23e−5"),
        (99.96, "100"),
    ],
)
def test_significant(value: float, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.5, "+0.50"), (-0.0023, "−0.002"), (0.0, "+0.00"), (-0.00001, "+0.00")])
def test_signed_keeps_the_side_of_zero_and_never_writes_minus_zero(value: float, text: str) -> None:
    assert signed(value) == text


def test_shares_and_p() -> None:
    assert percent(0.573) == "57.3 %"
    assert points(-0.0465) == "−4.65"
    assert p_value(0.00014) == "p = 0.00014"
    assert p_value(0.0) == "p < 1e−15"
    assert joined(["a", "b", "c"]) == "a, b and c"


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "text", True])
def test_finite_refuses(value: object) -> None:
    assert finite(value) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (-math.inf, "−∞"),
        (0.123456, "0.1235"),
        (5.0, "5"),
        (-3, "−3"),
        (True, "yes"),
        ("a", "a"),
    ],
)
def test_cell(value: object, text: str) -> None:
    assert cell(value) == text
