"""What is measured on the endpoints."""

import difflib
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from kpe_core.study.specs.base import Count, Fraction, Seed, Spec

BANDWIDTHS = ("median_nn", "scott", "silverman", "loo")
NARROWEST, WIDEST = 1e-9, 1e9
"""Of a bandwidth given as a number: beyond, its square is no number any more."""


class KnnDensity(Spec):
    """log p̂ = −d log r_k + const, r_k the distance to the k-th nearest training point."""

    estimator: Literal["knn"]
    k: Count = 5
    space: Literal["data", "features"] = "data"
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
    space: Literal["data", "features"] = "data"
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
    space: Literal["data", "features"] = "data"

    @field_validator("space")
    @classmethod
    def _in_data_space(cls, value: str) -> str:
        if value != "data":
            raise ValueError(
                "density `truth` is known in space `data` only; use knn or kde in the classifier's features"
            )
        return value


DensitySpec = Annotated[KnnDensity | KdeDensity | TrueDensity, Field(discriminator="estimator")]


class ClassifierSpec(Spec):
    """The small classifier whose logits give score and margin and whose last layer gives features."""

    features: Count = 32
    epochs: Count = 12
    seed: Seed = 0


class MeasureSpec(Spec):
    """What is measured on the endpoints, beside distances and memorization, which always are."""

    densities: tuple[DensitySpec, ...] = (
        KnnDensity(estimator="knn"),
        KdeDensity(estimator="kde", bandwidth="median_nn"),
        KdeDensity(estimator="kde", bandwidth="scott"),
    )
    classifier: ClassifierSpec | None = None
    """None: no semantics (2-D sets)."""
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
    def _feature_space_needs_classifier(self) -> Self:
        if self.classifier is None and any(d.space == "features" for d in self.densities):
            raise ValueError("a density in space `features` needs a `classifier`")
        return self
