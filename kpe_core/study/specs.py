"""Frozen specs: what a study file may say, each value with its allowed range.

Unknown keys are errors. Everything here is plain data; nothing computes.
"""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from kpe_core.study.names import DATASETS

Count = Annotated[int, Field(strict=True, ge=1)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
Fraction = Annotated[float, Field(strict=True, gt=0, lt=1)]


class Spec(BaseModel):
    """A frozen record of choices; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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


class ExactField(Spec):
    """The exact minimiser of empirical flow matching on the training points (METHOD §3)."""

    kind: Literal["exact"]
    dtype: Literal["float32", "float64"] = "float64"
    """float32 is wrong by tens of percent where two training points nearly tie late in time."""


class NetworkField(Spec):
    """A class-conditional residual MLP trained by conditional flow matching on the training points."""

    kind: Literal["network"]
    width: Count = 512
    depth: Count = 3
    steps: Count = 6000
    batch: Count = 128
    learning_rate: Annotated[float, Field(strict=True, gt=0, le=1)] = 1e-3
    schedule: Literal["one_cycle", "constant"] = "one_cycle"
    weight_decay: Annotated[float, Field(strict=True, ge=0)] = 0.0
    seed: Seed = 0


FieldSpec = Annotated[ExactField | NetworkField, Field(discriminator="kind")]


class ShapingSpec(Spec):
    """Kinetic trajectory shaping (KTS): v becomes η(t) v (METHOD §4). All zeros is the plain sampler."""

    alpha0: Annotated[float, Field(strict=True, ge=0, le=10)] = 0.0
    """Launch gain: η = 1 + α(t) for t < tau."""
    beta0: Annotated[float, Field(strict=True, ge=0)] = 0.0
    """Landing gain: η = 1 − β(t) for t ≥ tau."""
    tau: Fraction = 0.6
    launch: Literal["linear", "constant", "exponential"] = "linear"
    landing: Literal["exponential", "linear", "constant"] = "exponential"
    rate: Annotated[float, Field(strict=True, gt=0, le=20)] = 3.0
    """k of the exponential forms."""

    @property
    def beta0_limit(self) -> float:
        """Largest beta0 that never reverses the motion: 1/(eᵏ − 1) for the exponential landing, else 1."""
        return 1.0 / math.expm1(self.rate) if self.landing == "exponential" else 1.0

    @property
    def is_plain(self) -> bool:
        return self.alpha0 == 0.0 and self.beta0 == 0.0

    @model_validator(mode="after")
    def _never_reverses(self) -> Self:
        if self.beta0 > self.beta0_limit:
            raise ValueError(
                f"beta0 = {self.beta0} with {self.landing} landing makes η(t) negative before t = 1, which reverses "
                f"the motion; allowed: 0 ≤ beta0 ≤ {self.beta0_limit:.4f}"
            )
        return self


class StatesSpec(Spec):
    """Which states x(t) of a trajectory are stored. x(1) is always stored beside them."""

    keep: Literal["all", "every", "endpoints", "none"] = "all"
    every: Count | None = None
    """With ``keep: every``: each how many steps; t = 0 and t = 1 are always among them."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.keep == "every") != (self.every is not None):
            raise ValueError("`every: k` goes with `keep: every`, and only with it")
        return self


def _one_or_many(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


class SamplingSpec(Spec):
    """What is sampled. ``nfe``, ``solvers`` and ``shapings`` are sweeps: one value or a list."""

    n_samples: Count = 1000
    seed: Seed = 0
    """Of the initial noise. Runs that share it are paired sample by sample."""
    solvers: Annotated[tuple[Literal["euler", "heun"], ...], Field(min_length=1)] = ("euler",)
    nfe: Annotated[tuple[Count, ...], Field(min_length=1)] = (100,)
    """Network evaluations per sample: Euler takes one a step, Heun two."""
    grid: Literal["uniform", "cosine"] = "uniform"
    shapings: Annotated[tuple[ShapingSpec, ...], Field(min_length=1)] = (ShapingSpec(),)
    energy_split: Fraction = 0.6
    """τ that parts early from late energy."""
    batch: Count = 125
    """Samples computed together. Batches align to the global sample index, so this, not the shard, fixes the bits."""
    states: StatesSpec = StatesSpec()

    _lists = field_validator("solvers", "nfe", "shapings", mode="before")(_one_or_many)

    @model_validator(mode="after")
    def _distinct_cells(self) -> Self:
        plain = [shaping for shaping in self.shapings if shaping.is_plain]
        if len(plain) > 1:
            raise ValueError("shapings: more than one is plain (alpha0 = beta0 = 0); they would be the same run")
        for name in ("solvers", "nfe", "shapings"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: the same value twice; it would be the same run")
        return self

    @model_validator(mode="after")
    def _whole_steps(self) -> Self:
        odd = [n for n in self.nfe if n % 2]
        if "heun" in self.solvers and odd:
            raise ValueError(f"nfe = {odd[0]}: Heun takes two evaluations a step, so nfe must be even")
        return self


class KnnDensity(Spec):
    """log p̂ = −d log r_k + const, r_k the distance to the k-th nearest training point."""

    estimator: Literal["knn"]
    k: Count = 5
    space: Literal["data", "features"] = "data"


class KdeDensity(Spec):
    """Gaussian kernel density; the bandwidth can flip a correlation's sign (METHOD §7), so it is named."""

    estimator: Literal["kde"]
    bandwidth: Literal["median_nn", "scott"] | Annotated[float, Field(strict=True, gt=0)] = "median_nn"
    space: Literal["data", "features"] = "data"


DensitySpec = Annotated[KnnDensity | KdeDensity, Field(discriminator="estimator")]


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

    @model_validator(mode="after")
    def _feature_space_needs_classifier(self) -> Self:
        if self.classifier is None and any(d.space == "features" for d in self.densities):
            raise ValueError("a density in space `features` needs a `classifier`")
        return self


class Experiment(Spec):
    """One data set, one or more fields, one sampling sweep, one set of measurements."""

    name: Name
    data: DataSpec
    fields: Annotated[tuple[FieldSpec, ...], Field(min_length=1)]
    sampling: SamplingSpec = SamplingSpec()
    measure: MeasureSpec = MeasureSpec()
    expect: str = ""
    """What the author expects to see, in a sentence; shown in the report."""

    _lists = field_validator("fields", mode="before")(_one_or_many)

    @field_validator("fields")
    @classmethod
    def _distinct_fields(cls, value: tuple[FieldSpec, ...]) -> tuple[FieldSpec, ...]:
        if len(set(value)) < len(value):
            raise ValueError("the same field twice; it would be the same run")
        return value


class Study(Spec):
    """A study file: what to sample, from which fields, and what to ask of it."""

    name: Name
    title: str = ""
    experiments: Annotated[tuple[Experiment, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        names = [e.name for e in self.experiments]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"experiment names must differ; used twice: {', '.join(twice)}")
        return self
