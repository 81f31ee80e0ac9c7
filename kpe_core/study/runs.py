"""A study becomes runs: one for every cell of fields × solvers × NFE × shapings of every experiment."""

from collections.abc import Iterator
from typing import Any, Literal

from kpe_core.identity import canonical_json, digest
from kpe_core.study.specs import (
    DataSpec,
    Experiment,
    FieldSpec,
    MeasureSpec,
    NetworkField,
    ShapingSpec,
    Spec,
    StatesSpec,
    Study,
)


class Cell(Spec):
    """One combination of a study's choices, before anything is loaded or trained."""

    experiment: str
    label: str
    data: DataSpec
    field: FieldSpec
    solver: Literal["euler", "heun"]
    nfe: int
    grid: Literal["uniform", "cosine"]
    shaping: ShapingSpec
    n_samples: int
    seed: int
    energy_split: float
    batch: int
    states: StatesSpec
    measure: MeasureSpec

    @property
    def steps(self) -> int:
        return self.nfe // (2 if self.solver == "heun" else 1)

    @property
    def conditional(self) -> bool:
        """Whether samples are asked for by class; sample i then has class i mod C."""
        return isinstance(self.field, NetworkField)


class Run(Cell):
    """A cell with the hashes of its data and weights, which complete its identity."""

    fingerprint: str
    weights: str | None
    """SHA-256 of the network's weights; None for the exact field."""
    classifier: str | None
    """SHA-256 of the classifier's weights; None without semantics."""

    def sampling_identity(self) -> dict[str, Any]:
        """Everything that determines the trajectories' numbers. Not how they are computed or measured."""
        keep = {
            "data", "field", "solver", "nfe", "grid", "shaping", "n_samples", "seed", "energy_split", "batch", "states",
            "fingerprint", "weights",
        }  # fmt: skip
        return self.model_dump(mode="json", include=keep)

    @property
    def trajectories_id(self) -> str:
        return digest("trajectories", self.sampling_identity())

    @property
    def run_id(self) -> str:
        return digest("run", self.sampling_identity(), self.measure.model_dump(mode="json"), self.classifier)

    def is_baseline_of(self, other: "Run") -> bool:
        """Whether ``other`` differs from this plain run by its shaping alone, so that the two are paired."""
        if not self.shaping.is_plain or other.shaping.is_plain:
            return False
        mine, theirs = self.sampling_identity(), other.sampling_identity()
        mine.pop("shaping")
        theirs.pop("shaping")
        return mine == theirs and self.measure == other.measure


def cells(study: Study) -> Iterator[Cell]:
    """Expand a study, in the file's own order."""
    for experiment in study.experiments:
        s = experiment.sampling
        for field in experiment.fields:
            for solver in s.solvers:
                for nfe in s.nfe:
                    for shaping in s.shapings:
                        yield Cell(
                            experiment=experiment.name,
                            label=_label(experiment, field, solver, nfe, shaping),
                            data=experiment.data,
                            field=field,
                            solver=solver,
                            nfe=nfe,
                            grid=s.grid,
                            shaping=shaping,
                            n_samples=s.n_samples,
                            seed=s.seed,
                            energy_split=s.energy_split,
                            batch=s.batch,
                            states=s.states,
                            measure=experiment.measure,
                        )


def twins(study: Study) -> tuple[str, str] | None:
    """Labels of two cells that are the same run under two names; None where there are none."""
    seen: dict[str, str] = {}
    for cell in cells(study):
        choices = canonical_json(cell.model_dump(mode="json", exclude={"experiment", "label"}))
        if choices in seen:
            return seen[choices], cell.label
        seen[choices] = cell.label
    return None


def _label(experiment: Experiment, field: FieldSpec, solver: str, nfe: int, shaping: ShapingSpec) -> str:
    """The experiment's name, and whatever it sweeps."""
    parts = [experiment.name]
    s = experiment.sampling
    if len(experiment.fields) > 1:
        parts.append(f"{field.kind}-{experiment.fields.index(field) + 1}")
    if len(s.solvers) > 1:
        parts.append(solver)
    if len(s.nfe) > 1:
        parts.append(f"nfe{nfe}")
    if len(s.shapings) > 1:
        parts.append("plain" if shaping.is_plain else f"kts({shaping.alpha0:g}, {shaping.beta0:g})" + _forms(shaping))
    return " ".join(parts)


def _forms(shaping: ShapingSpec) -> str:
    """The forms and split, where they are not the default ones."""
    default = ShapingSpec()
    said = [
        str(getattr(shaping, name))
        for name in ("launch", "landing", "tau", "rate")
        if getattr(shaping, name) != getattr(default, name)
    ]
    return f"[{', '.join(said)}]" if said else ""


def weights_recipe(field: NetworkField, fingerprint: str) -> str:
    """Id of everything that determines a network's weights."""
    return digest("network", field.model_dump(mode="json"), fingerprint)


def classifier_recipe(measure: MeasureSpec, split_fingerprint: str) -> str:
    """Id of everything that determines a classifier's weights."""
    assert measure.classifier is not None
    return digest("classifier", measure.classifier.model_dump(mode="json"), split_fingerprint)
