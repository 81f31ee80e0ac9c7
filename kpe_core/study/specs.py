"""Frozen specs: what a study file may say, each value with its allowed range.

Unknown keys are errors. Everything here is plain data; nothing computes.
"""

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from kpe_core.errors import UserError
from kpe_core.sampling.solvers import SOLVERS, Tableau
from kpe_core.study.curves import (
    is_one,
    require_gain,
    require_gain_table,
    require_increasing,
    require_landing,
    require_schedule,
)
from kpe_core.study.formula import parse
from kpe_core.study.names import DATASETS

Count = Annotated[int, Field(strict=True, ge=1)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
Fraction = Annotated[float, Field(strict=True, gt=0, lt=1)]


class Spec(BaseModel):
    """A frozen record of choices; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _refuse_as_value_error(check: Callable[..., object], *arguments: Any) -> None:
    """Run a check inside a validator, where pydantic adds the place to a ValueError and passes others by."""
    try:
        check(*arguments)
    except UserError as error:
        raise ValueError(str(error)) from None


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
        _refuse_as_value_error(require_increasing, value)
        return value


class FormulaBridge(Spec):
    """γ(t) and γ̇(t) as formulas of t (:mod:`kpe_core.study.formula`); σ = 1 − γ is then right to 1e-16, not relatively."""

    kind: Literal["formula"] = "formula"
    gamma: str
    rate: str

    @model_validator(mode="after")
    def _is_a_bridge(self) -> Self:
        _refuse_as_value_error(lambda: require_schedule(parse(self.gamma), parse(self.rate)))
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


class ExactField(Spec):
    """The exact minimiser of empirical flow matching on the training points (METHOD §3)."""

    kind: Literal["exact"]
    dtype: Literal["float32", "float64"] = "float64"
    """Of its matrix products. float32 is right to 1e-5 of ‖v‖ and takes half the time, float64 to 1e-9 and better."""
    conditional: bool = False
    """Whether samples are asked for by class: sample i then follows the training points of class i mod C alone."""
    bridge: BridgeSpec = LinearBridge()


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
    bridge: BridgeSpec = LinearBridge()
    label_dropout: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.0
    """Share of labels replaced by the null label in training; above 0 the network can be asked unconditionally."""


FieldSpec = Annotated[ExactField | NetworkField, Field(discriminator="kind")]


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
            _refuse_as_value_error(lambda: require_gain(parse(text)))
        elif self.eta is not None:
            _refuse_as_value_error(require_gain_table, self.eta)
        elif self.beta0 > 0.0:
            _refuse_as_value_error(require_landing, self.landing, self.beta0, self.tau, self.rate)
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


SolverName = Literal["euler", "midpoint", "heun", "heun_ke", "rk4", "dopri5"]


def evaluations_per_step(solver: SolverName) -> int:
    """Of ``nfe``, what one interval of the grid takes."""
    method = SOLVERS[solver]
    return method.evaluations if isinstance(method, Tableau) else 1


class SamplingSpec(Spec):
    """What is sampled. ``solvers``, ``nfe``, ``guidance`` and ``shapings`` are sweeps: one value or a list."""

    n_samples: Count = 1000
    seed: Seed = 0
    """Of the initial noise. Runs that share it are paired sample by sample."""
    solvers: Annotated[tuple[SolverName, ...], Field(min_length=1)] = ("euler",)
    """``heun`` is the textbook's, ``heun_ke`` [KE]'s own under shaping; ``dopri5`` is adaptive."""
    nfe: Annotated[tuple[Count, ...], Field(min_length=1)] = (100,)
    """Velocities per sample: Euler takes one a step, midpoint and Heun two, RK4 four. For ``dopri5``, the intervals of
    the grid it is read off on. What a run really evaluated is recorded with it; guidance doubles it."""
    tolerance: Annotated[float, Field(strict=True, ge=1e-10, le=1e-2)] = 1e-5
    """Of ``dopri5``: error of a step allowed to each sample, relative and absolute."""
    guidance: Annotated[tuple[Annotated[float, Field(strict=True, ge=0, le=100)], ...], Field(min_length=1)] = (1.0,)
    """Classifier-free guidance w: v_∅ + w (v_y − v_∅); 1 is the class-conditional field itself."""
    grid: Literal["uniform", "cosine"] = "uniform"
    shapings: Annotated[tuple[ShapingSpec, ...], Field(min_length=1)] = (ShapingSpec(),)
    energy_split: Fraction = 0.6
    """τ that parts early from late energy."""
    batch: Count = 125
    """Samples computed together. Batches align to the global sample index, so this, not the shard, fixes the bits."""
    states: StatesSpec = StatesSpec()

    _lists = field_validator("solvers", "nfe", "guidance", "shapings", mode="before")(_one_or_many)

    @model_validator(mode="after")
    def _distinct_cells(self) -> Self:
        plain = [shaping for shaping in self.shapings if shaping.is_plain]
        if len(plain) > 1:
            raise ValueError("shapings: more than one is plain (alpha0 = beta0 = 0); they would be the same run")
        for name in ("solvers", "nfe", "guidance", "shapings"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: the same value twice; it would be the same run")
        return self

    @model_validator(mode="after")
    def _whole_steps(self) -> Self:
        for name in self.solvers:
            each = evaluations_per_step(name)
            if broken := [n for n in self.nfe if n % each]:
                raise ValueError(
                    f"nfe = {broken[0]}: {name} takes {each} evaluations a step, so nfe must divide by {each}"
                )
        return self


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

    @model_validator(mode="after")
    def _guidance_needs_both_branches(self) -> Self:
        if any(w != 1.0 for w in self.sampling.guidance):
            for field in self.fields:
                if isinstance(field, ExactField) and not field.conditional:
                    raise ValueError("guidance needs classes: give the exact field `conditional: true`")
                if isinstance(field, NetworkField) and field.label_dropout == 0.0:
                    raise ValueError(
                        "guidance needs a network that can do without a label: give it label_dropout, e.g. 0.1"
                    )
        return self

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
