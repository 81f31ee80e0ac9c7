"""Kinetic trajectory shaping."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from kpe_core.study.curves import is_one, require_gain, require_gain_table, require_landing
from kpe_core.study.formula import parse
from kpe_core.study.specs.base import Fraction, Spec, refuse_as_value_error


class ShapingSpec(Spec):
    """Kinetic trajectory shaping (KTS): v becomes η(t) v (METHOD §4). All zeros is the plain sampler.

    Choices without effect return to their defaults, so that one η has one spelling and one identity.
    """

    alpha0: Annotated[float, Field(strict=True, ge=0, le=10)] = 0.0
    """Launch gain: η = 1 + α(t) for t < tau."""
    beta0: Annotated[float, Field(strict=True, ge=0)] = 0.0
    """Landing gain: η = 1 − β(t) for t ≥ tau."""
    tau: Fraction = 0.6
    launch: Literal["linear", "constant", "exponential"] = "linear"
    landing: Literal["exponential", "linear", "constant"] = "exponential"
    rate: Annotated[float, Field(strict=True, gt=0, le=20)] = 3.0
    """k of the exponential forms."""
    eta: str | tuple[tuple[float, float], ...] | None = None
    """η(t) itself, in place of all of the above: a formula of t, or a table ``[[0, η], …, [1, η]]``, linear between."""

    @property
    def is_plain(self) -> bool:
        return self.alpha0 == 0.0 and self.beta0 == 0.0 and self.eta is None

    @field_validator("eta", mode="before")
    @classmethod
    def _formula_or_table(cls, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value
        rows = value if isinstance(value, list | tuple) else ()
        if not rows or not all(isinstance(row, list | tuple) and len(row) == 2 for row in rows):
            raise ValueError(f"{value!r} is neither a formula of t in quotes nor a table [[0, η], …, [1, η]]")
        return tuple((_number(t), _number(eta)) for t, eta in rows)

    @model_validator(mode="after")
    def _moves_forward(self) -> Self:
        if isinstance(self.eta, str):
            text = self.eta
            refuse_as_value_error(lambda: require_gain(parse(text)))
        elif self.eta is not None:
            refuse_as_value_error(require_gain_table, self.eta)
        elif self.beta0 > 0.0:
            refuse_as_value_error(require_landing, self.landing, self.beta0, self.tau, self.rate)
        return self

    @model_validator(mode="after")
    def _one_spelling(self) -> Self:
        default = {name: f.default for name, f in ShapingSpec.model_fields.items()}
        if self.eta is not None:
            if taken := [name for name in default if name != "eta" and getattr(self, name) != default[name]]:
                raise ValueError(f"eta is the whole gain, so {', '.join(taken)} cannot be given beside it; remove one")
            idle = {"eta"} if is_one(self.eta) else set()
        else:
            launch, landing = self.alpha0 > 0.0, self.beta0 > 0.0
            exponential = (launch and self.launch == "exponential") or (landing and self.landing == "exponential")
            # The gains are in the list for −0.0, which JSON spells differently from 0.0.
            used = {
                "alpha0": launch, "launch": launch, "beta0": landing, "landing": landing,
                "rate": exponential, "tau": launch or landing,
            }  # fmt: skip
            idle = {name for name, counts in used.items() if not counts}
        for name in idle:
            object.__setattr__(self, name, default[name])
        return self


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} in the table of eta is not a number")
    if not math.isfinite(value):
        raise ValueError(f"{value!r} in the table of eta is not finite")
    return float(value) + 0.0  # −0.0, which JSON spells differently, becomes 0.0
