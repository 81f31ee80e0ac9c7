"""What every spec is made of."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from kpe_core.errors import UserError

Count = Annotated[int, Field(strict=True, ge=1, le=10**9)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
Fraction = Annotated[float, Field(strict=True, gt=0, lt=1)]


class Spec(BaseModel):
    """A frozen record of choices; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def refuse_as_value_error(check: Callable[..., object], *arguments: Any) -> None:
    """Run a check inside a validator, where pydantic adds the place to a ValueError and passes others by."""
    try:
        check(*arguments)
    except UserError as error:
        raise ValueError(str(error)) from None


def one_or_many(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]
