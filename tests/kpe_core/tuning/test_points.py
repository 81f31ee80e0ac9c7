"""Points of the box are shapings, whatever the point; proposals depend on the seed and the history alone."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kpe_core.sampling.shaping import gain, landing_exponent
from kpe_core.study.specs import ShapingSpec, TuneSpec
from kpe_core.study.specs.tuning import LIMITS
from kpe_core.tuning.optimiser import Known, propose
from kpe_core.tuning.points import PUBLISHED, Point, point_of, shaping_of

WHOLE = TuneSpec(**dict(LIMITS))  # type: ignore[arg-type]
Points = st.builds(
    Point,
    launch=st.sampled_from(WHOLE.launch),
    landing=st.sampled_from(WHOLE.landing),
    **{name: st.floats(*limits) for name, limits in LIMITS.items()},
)


@given(Points)
def test_every_point_is_a_shaping_that_moves_forward(point: Point) -> None:
    shaping = shaping_of(point)
    assert all(gain(shaping, k / 64) > 0.0 for k in range(64))
    assert (shaping.alpha0 > 0.0) == (point.launch != "none" and point.alpha0 > 0.0)
    if point.landing != "none":
        assert landing_exponent(shaping) <= point.slowdown * (1 + 1e-12)
        assert landing_exponent(shaping) == pytest.approx(point.slowdown, rel=2e-3)
    else:
        assert shaping.beta0 == 0.0


@given(Points)
def test_a_shaping_is_the_point_it_came_from(point: Point) -> None:
    shaping = shaping_of(point)
    back = point_of(shaping, WHOLE)
    assert back is not None
    again = shaping_of(back)
    for name in ("launch", "landing"):
        assert getattr(again, name) == getattr(shaping, name)
    for name in ("alpha0", "beta0", "tau", "rate"):
        # β₀ is rounded downwards, so back and forth may lose its last digit.
        assert math.isclose(getattr(again, name), getattr(shaping, name), rel_tol=2e-3)


def test_published_settings_lie_in_the_box_one_searches_by_default() -> None:
    found = [point_of(shaping, TuneSpec()) for shaping in (ShapingSpec(), *PUBLISHED)]
    assert [(p.launch, p.landing) for p in found if p] == [
        ("none", "none"), ("linear", "exponential"), ("linear", "none"), ("none", "exponential"),
    ]  # fmt: skip
    assert point_of(PUBLISHED[0], TuneSpec(alpha0=(0.02, 0.1))) is None
    assert point_of(PUBLISHED[0], TuneSpec(launch=("none",))) is None
    assert point_of(ShapingSpec(eta="1 + t"), TuneSpec()) is None


def proposed(space: TuneSpec, generation: int, known: list[Known], taken: set[ShapingSpec]) -> list[Point]:
    return propose(space, generation, known, taken, space.generation)


def test_proposals_depend_on_the_seed_and_the_history_alone() -> None:
    space, known = TuneSpec(generation=6), list[Known]()
    for generation in range(3):
        points = proposed(space, generation, known, set())
        assert points == proposed(space, generation, known, set())
        assert len({shaping_of(p) for p in points}) == 6
        known += [Known(p, None if i == 2 else (p.slowdown, -p.alpha0)) for i, p in enumerate(points)]
    other = proposed(space.model_copy(update={"seed": 1}), 3, known, set())
    assert other != proposed(space, 3, known, set())
    assert proposed(space, 3, known[:6], set()) != proposed(space, 3, known, set())


def test_proposals_go_where_it_is_good() -> None:
    """Small landings, large launches: both objectives at once."""
    space, known = TuneSpec(generation=8), list[Known]()
    for generation in range(4):
        points = proposed(space, generation, known, set())
        known += [Known(p, (p.slowdown, -p.alpha0)) for p in points]
    late = [k.point for k in known[16:]]
    assert sum(p.slowdown for p in late) / 16 < 0.3 < 0.45  # where chance has 0.45
    assert sum(p.alpha0 for p in late) / 16 > 0.06 > 0.05


def test_what_was_tried_is_not_proposed_again_and_a_space_may_be_used_up() -> None:
    space = TuneSpec(launch=("linear", "constant"), landing=("none",), alpha0=0.02, tau=0.5, rate=3.0)  # type: ignore[arg-type]
    both = {ShapingSpec(alpha0=0.02, tau=0.5, launch=form) for form in ("linear", "constant")}  # type: ignore[arg-type]
    assert {shaping_of(p) for p in proposed(space, 0, [], set())} == both
    assert proposed(space, 1, [], both) == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"trials": 0}, "greater than or equal to 1"),
        ({"samples": 0}, "greater than or equal to 1"),
        ({"generation": 1}, "greater than or equal to 2"),
        ({"alpha0": (0.1, 0.0)}, r"\[0.1, 0\] should be the lowest and the highest to try, within \[0, 10\]"),
        ({"slowdown": (0.0, 1.5)}, r"within \[0, 0.999\]"),
        ({"tau": (0.0, 0.5)}, r"within \[0.01, 0.99\]"),
        ({"launch": ("linear", "linear")}, "the same form twice"),
        ({"launch": ()}, "at least 1 item"),
        ({"landing": "cubic"}, "'none', 'exponential', 'linear' or 'constant'"),
        ({"beta0": (0.0, 0.1)}, "Extra inputs"),
    ],
)
def test_a_wrong_space_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        TuneSpec(**given)
