"""A study file: its experiments."""

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from kpe_core.study.specs.base import Name, Spec, one_or_many
from kpe_core.study.specs.data import DataSpec
from kpe_core.study.specs.fields import ExactField, FieldSpec
from kpe_core.study.specs.measure import MeasureSpec
from kpe_core.study.specs.networks import NetworkField
from kpe_core.study.specs.pretrained import PretrainedField
from kpe_core.study.specs.quality import ExpectationSpec
from kpe_core.study.specs.sampling import SamplingSpec
from kpe_core.study.specs.tuning import TuneSpec

MOST_RUNS = 10_000
"""Of a study."""


class Experiment(Spec):
    """One data set, one or more fields, one sampling sweep, one set of measurements."""

    name: Name
    data: DataSpec
    fields: Annotated[tuple[FieldSpec, ...], Field(min_length=1)]
    sampling: SamplingSpec = SamplingSpec()
    measure: MeasureSpec = MeasureSpec()
    expect: str = ""
    """What the author expects to see, in a sentence; shown in the report."""

    _lists = field_validator("fields", mode="before")(one_or_many)

    @property
    def n_runs(self) -> int:
        """Runs its sweeps make."""
        fields = sum(len(f.training_steps) if isinstance(f, NetworkField) else 1 for f in self.fields)
        s = self.sampling
        return fields * len(s.solvers) * len(s.nfe) * len(s.guidance) * len(s.shapings)

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
                if isinstance(field, PretrainedField) and field.null_label is None:
                    raise ValueError(
                        "guidance needs a model that can do without a class: give its n_classes and null_label"
                    )
        return self

    @model_validator(mode="after")
    def _precision_is_for_float32_networks(self) -> Self:
        if (asked := self.sampling.precision) != "float32":
            for field in self.fields:
                if isinstance(field, ExactField):
                    raise ValueError(
                        f"sampling.precision = {asked} is for networks; an exact field's precision is its dtype, float32 "
                        "or float64: give it an experiment of its own, with sampling.precision: float32"
                    )
                if isinstance(field, PretrainedField) and field.dtype != "float32":
                    raise ValueError(
                        f"sampling.precision = {asked} is for models that are float32, and this one's dtype is "
                        f"{field.dtype}; leave one of the two out"
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
    quality: tuple[ExpectationSpec, ...] = ()
    """What is expected of the runs beyond what always is; no part of their identity."""
    tune: TuneSpec = TuneSpec()
    """What `kpe tune` searches; of no account to the study's own runs."""

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        """Counted before any run is spelled out."""
        n = sum(e.n_runs for e in self.experiments)
        if n > MOST_RUNS:
            raise ValueError(f"the sweeps make {n:,} runs; at most {MOST_RUNS:,} are allowed, so part the study")
        return self

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        names = [e.name for e in self.experiments]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"experiment names must differ; used twice: {', '.join(twice)}")
        return self
