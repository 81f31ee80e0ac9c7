"""Points of the search space, and the shapings they are."""

import math

from kpe_core.sampling.shaping import landing_exponent
from kpe_core.study.specs import ShapingSpec, Spec, TuneSpec
from kpe_core.study.specs.tuning import NONE, Landing, Launch

DIGITS = 4
"""Significant ones of a shaping's numbers: as many as anyone would type."""

PUBLISHED = (
    ShapingSpec(alpha0=0.01, beta0=0.01),
    ShapingSpec(alpha0=0.02),
    ShapingSpec(beta0=0.02),
)
"""[KE] table 3: balanced, launch alone, landing alone (METHOD §6)."""


class Point(Spec):
    """One point of the box. Every choice has a value, also where another choice makes it idle."""

    launch: Launch
    landing: Landing
    alpha0: float
    slowdown: float
    tau: float
    rate: float


def shaping_of(point: Point) -> ShapingSpec:
    """The shaping a point stands for, its numbers rounded; β₀ downwards, so that none stops the motion.

    An exponential landing takes β₀(eᵏ − 1) away at t = 1, the others β₀ (METHOD §4).
    """
    rate = _rounded(point.rate)
    launches, lands = point.launch != NONE, point.landing != NONE
    beta0 = point.slowdown / (math.expm1(rate) if point.landing == "exponential" else 1.0)
    said: dict[str, float | str] = {"tau": _rounded(point.tau), "rate": rate}
    if launches:
        said |= {"alpha0": _rounded(point.alpha0), "launch": point.launch}
    if lands:
        said |= {"beta0": _rounded_down(beta0), "landing": point.landing}
    return ShapingSpec.model_validate(said)


def point_of(shaping: ShapingSpec, space: TuneSpec) -> Point | None:
    """The point of the box that stands for a shaping; None where it lies outside, or is a given η."""
    if shaping.eta is not None:
        return None
    launch = shaping.launch if shaping.alpha0 > 0.0 else NONE
    landing = shaping.landing if shaping.beta0 > 0.0 else NONE
    values = {"alpha0": shaping.alpha0, "slowdown": landing_exponent(shaping), "tau": shaping.tau, "rate": shaping.rate}
    used = {"alpha0": launch != NONE, "slowdown": landing != NONE, "tau": (launch, landing) != (NONE, NONE)}
    used["rate"] = "exponential" in (launch, landing)
    for name, value in values.items():
        low, high = getattr(space, name)
        if not low <= value <= high:
            if used[name]:
                return None
            values[name] = min(max(value, low), high)
    if launch not in space.launch or landing not in space.landing:
        return None
    return Point(launch=launch, landing=landing, **values)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _rounded_down(value: float) -> float:
    near = _rounded(value)
    if near <= value:
        return near
    unit = 10.0 ** (math.floor(math.log10(value)) - DIGITS + 1)
    return _rounded(near - unit)
