"""What `kpe tune` may try: the search space of kinetic trajectory shaping, and how much of it is looked at."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from kpe_core.study.specs.base import Count, Seed, Spec, one_or_many

NONE = "none"
"""The form of a launch or a landing that is left out."""

Number = Annotated[float, Field(strict=True)]
Range = tuple[Number, Number]
Launch = Literal["none", "linear", "constant", "exponential"]
Landing = Literal["none", "exponential", "linear", "constant"]

LIMITS: dict[str, tuple[float, float]] = {
    "alpha0": (0.0, 10.0), "slowdown": (0.0, 0.999), "tau": (0.01, 0.99), "rate": (0.1, 20.0),
}  # fmt: skip
"""Between which each range must lie: inside them, every point of the space is a shaping that moves forward."""


class TuneSpec(Spec):
    """A box of shapings of one plain run, searched for the front of quality and memorization.

    A landing's gain is searched as 1 − η(1), which means the same for every form and rate: β₀ is it over eᵏ − 1 for the
    exponential form, and it itself for the others (METHOD §4). So the whole box may be tried, whatever the rate.
    """

    run: str | None = None
    """The plain run, as `kpe plan` calls it, or its experiment. None: the study's only one that has a feature space."""
    space: str | None = None
    """In whose Fréchet distance quality is measured. None: the run's first space."""
    trials: Count = 32
    """Shapings the search tries, beside the plain run and the published settings. More of them later go on from here."""
    samples: Count | None = None
    """Of the last rung. None: the plain run's own."""
    rungs: Annotated[int, Field(strict=True, ge=1, le=8)] = 3
    """Each has half the samples of the next, in whole batches; the better half of a generation goes on from one to the
    next. 1: every shaping has all samples."""
    generation: Annotated[int, Field(strict=True, ge=2, le=1000)] = 8
    """Shapings chosen, and computed, together."""
    seed: Seed = 0
    """Of the search, not of the noise."""
    launch: Annotated[tuple[Launch, ...], Field(min_length=1)] = ("none", "linear", "constant", "exponential")
    landing: Annotated[tuple[Landing, ...], Field(min_length=1)] = ("none", "exponential", "linear", "constant")
    alpha0: Range = (0.0, 0.1)
    """Launch gain."""
    slowdown: Range = (0.0, 0.9)
    """1 − η(1): the share of the velocity that the landing has taken away at the end. β₀ = 0.02 at rate 3 is 0.38."""
    tau: Range = (0.2, 0.8)
    rate: Range = (1.0, 6.0)
    """k of the exponential forms."""

    _lists = field_validator("launch", "landing", mode="before")(one_or_many)

    @field_validator("launch", "landing")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"{list(value)}: the same form twice; remove one")
        return value

    @field_validator("alpha0", "slowdown", "tau", "rate", mode="before")
    @classmethod
    def _pair(cls, value: object) -> object:
        return (value, value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @field_validator("alpha0", "slowdown", "tau", "rate")
    @classmethod
    def _within(cls, value: Range, info: object) -> Range:
        least, most = LIMITS[info.field_name]  # type: ignore[attr-defined]
        low, high = value
        if not least <= low <= high <= most:
            raise ValueError(
                f"[{low:g}, {high:g}] should be the lowest and the highest to try, within [{least:g}, {most:g}]"
            )
        return low + 0.0, high + 0.0
