"""What is measured on the endpoints."""

import difflib
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from kpe_core.study.specs.base import Count, Fraction, Spec
from kpe_core.study.specs.spaces import DATA, SpaceSpec

BANDWIDTHS = ("median_nn", "scott", "silverman", "loo")
NARROWEST, WIDEST = 1e-9, 1e9
"""Of a bandwidth given as a number: beyond, its square is no number any more."""


class KnnDensity(Spec):
    """log p̂ = −d log r_k + const, r_k the distance to the k-th nearest training point."""

    estimator: Literal["knn"]
    k: Count = 5
    space: str = DATA
    leave_one_out: bool = Field(default=False, strict=True)
    """An endpoint that is a training point (within 1e-6 of the data's scale) does not see it."""


class KdeDensity(Spec):
    """Gaussian kernel density; the bandwidth can flip a correlation's sign (METHOD §7), so it is named."""

    estimator: Literal["kde"]
    bandwidth: Literal["median_nn", "scott", "silverman", "loo"] | Annotated[float, Field(strict=True, gt=0)] = (
        "median_nn"
    )
    """A rule, or a number in the data's units (with another covariance than ``isotropic``: in units of its root).
    ``loo`` maximises the likelihood of training points left out of their own density."""
    covariance: Literal["isotropic", "diagonal", "full", "shrunk"] = "isotropic"
    """The kernel's shape: a ball, or the training points' variances, covariance, or Ledoit–Wolf covariance."""
    space: str = DATA
    leave_one_out: bool = Field(default=False, strict=True)
    """As for k-NN."""

    @field_validator("bandwidth", mode="before")
    @classmethod
    def _rule_or_number(cls, value: Any) -> Any:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value in BANDWIDTHS or (number and NARROWEST <= value <= WIDEST):
            return value
        near = difflib.get_close_matches(str(value), BANDWIDTHS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"{value!r} is neither a rule ({', '.join(BANDWIDTHS)}) nor a number from {NARROWEST:g} to {WIDEST:g}{hint}"
        )


class TrueDensity(Spec):
    """The density the points were drawn from, in closed form: for the 2-D sets, to hold the estimators against."""

    estimator: Literal["truth"]
    space: str = DATA

    @field_validator("space")
    @classmethod
    def _in_data_space(cls, value: str) -> str:
        if value != DATA:
            raise ValueError("density `truth` is known in space `data` only; use knn or kde in a space of features")
        return value


DensitySpec = Annotated[KnnDensity | KdeDensity | TrueDensity, Field(discriminator="estimator")]


class MeasureSpec(Spec):
    """What is measured on the endpoints, beside distances and memorization, which always are."""

    densities: tuple[DensitySpec, ...] = (
        KnnDensity(estimator="knn"),
        KdeDensity(estimator="kde", bandwidth="median_nn"),
        KdeDensity(estimator="kde", bandwidth="scott"),
    )
    spaces: tuple[SpaceSpec, ...] = ()
    """Feature spaces, beside the prepared coordinates. Each has its Fréchet and kernel distance, precision, recall,
    density and coverage; those that read classes have score and margin, the first of them the samples table's."""
    memorized_below: Fraction = 1 / 3
    """A sample is memorized when d₁/d₂ is below this ([BO])."""
    bootstrap: Annotated[int, Field(strict=True, ge=100, le=100_000)] = 1000
    probe: Annotated[int, Field(strict=True, ge=0, le=1000)] = 32
    """Samples followed once more by the adaptive solver, which tells the error of the path itself; 0: none."""

    @field_validator("densities")
    @classmethod
    def _distinct(cls, value: tuple[DensitySpec, ...]) -> tuple[DensitySpec, ...]:
        if len(set(value)) < len(value):
            raise ValueError("the same estimator twice; remove one")
        return value

    @model_validator(mode="after")
    def _spaces_have_names(self) -> Self:
        names = [space.name for space in self.spaces]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"spaces must differ in name; used twice: {', '.join(twice)}. Give one a `name`")
        for density in self.densities:
            if density.space not in (DATA, *names):
                near = difflib.get_close_matches(density.space, (DATA, *names), n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(
                    f"density {density.estimator} in space {density.space!r}: measure.spaces has "
                    f"{', '.join(names) or 'none'}, and {DATA!r} is always there{hint}"
                )
        return self

    def space(self, name: str) -> SpaceSpec:
        """The space of that name."""
        return next(space for space in self.spaces if space.name == name)

    def identity(self) -> dict[str, Any]:
        """What determines the measurements' numbers: everything but the places where weights lie."""
        spaces = [
            space.feature_identity() | space.model_dump(include={"name", "semantics", "prompt"})
            for space in self.spaces
        ]
        return {**self.model_dump(mode="json"), "spaces": spaces}
