"""The bridge between noise and data."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from kpe_core.study.curves import require_increasing, require_schedule
from kpe_core.study.formula import parse
from kpe_core.study.specs.base import Spec, refuse_as_value_error


class LinearBridge(Spec):
    """γ(t) = t."""

    kind: Literal["linear"] = "linear"


class CosineBridge(Spec):
    """γ(t) = ½(1 − cos πt)."""

    kind: Literal["cosine"] = "cosine"


class PolynomialBridge(Spec):
    """γ(t) = Σ c_i tⁱ, increasing; ``[0, 0, 1]`` is t³."""

    kind: Literal["polynomial"] = "polynomial"
    coefficients: Annotated[tuple[Annotated[float, Field(strict=True)], ...], Field(min_length=1, max_length=12)]
    """c_1 … c_m, of t¹ … tᵐ; they sum to 1."""

    @field_validator("coefficients")
    @classmethod
    def _rises(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        value = tuple(c + 0.0 for c in value)  # −0.0, which JSON spells differently, becomes 0.0
        while len(value) > 1 and value[-1] == 0.0:
            value = value[:-1]
        if value == (1.0,):
            raise ValueError("these are the linear bridge's; write `bridge: linear`")
        refuse_as_value_error(require_increasing, value)
        return value


class FormulaBridge(Spec):
    """γ(t) and γ̇(t) as formulas of t (:mod:`kpe_core.study.formula`); σ = 1 − γ is then right to 1e-16, not relatively."""

    kind: Literal["formula"] = "formula"
    gamma: str
    rate: str

    @model_validator(mode="after")
    def _is_a_bridge(self) -> Self:
        refuse_as_value_error(lambda: require_schedule(parse(self.gamma), parse(self.rate)))
        return self


def _named_kind(value: Any) -> Any:
    if not isinstance(value, str | dict | Spec):
        raise ValueError(f"{value!r} is not a bridge; write its kind, e.g. `bridge: cosine`, or a mapping with `kind`")
    return {"kind": value} if isinstance(value, str) else value


BridgeSpec = Annotated[
    LinearBridge | CosineBridge | PolynomialBridge | FormulaBridge,
    Field(discriminator="kind"),
    BeforeValidator(_named_kind),
]
"""γ of x_t = γ(t) x1 + (1 − γ(t)) x0 (METHOD §1); a study file may write just the kind: ``bridge: cosine``."""
