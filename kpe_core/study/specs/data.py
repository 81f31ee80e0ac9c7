"""Which data, how split, how prepared."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from kpe_core.study.names import DATASETS
from kpe_core.study.specs.base import Fraction, Seed, Spec


class PrepareSpec(Spec):
    """How raw data become the field's coordinates, in this order: pool, scaling, scale.

    The energy–density relation depends on it (METHOD §7), so it belongs to a run's identity.
    """

    pool: Annotated[int, Field(strict=True, ge=2)] | None = None
    """Side in pixels after mean pooling; must divide the data's side."""
    scaling: Literal["raw", "unit", "symmetric", "centered"] = "centered"
    """``unit`` [0, 1]; ``symmetric`` [−1, 1]; ``centered``: per-coordinate mean 0, one global std 1 (train split)."""
    scale: Annotated[float, Field(strict=True, gt=0, le=100)] = 1.0
    """Factor applied last."""


class DataSpec(Spec):
    """A data set, its split and its preparation."""

    name: str
    n_train: Annotated[int, Field(strict=True, ge=2)] | None = None
    """Training points the field sees: the first ``n_train`` of the train split, classes in turn. None: all of it."""
    held_out: Fraction = 0.2
    """Share of the data no field ever sees."""
    seed: Seed = 0
    """Seed of the split, and of the points of the 2-D sets."""
    prepare: PrepareSpec = PrepareSpec()

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in DATASETS:
            raise ValueError(f"unknown data set {value!r}; available: {', '.join(sorted(DATASETS))}")
        return value
