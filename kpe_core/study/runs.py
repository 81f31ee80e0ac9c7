"""A study becomes runs: one for every cell of fields × checkpoints × solvers × NFE × guidance × shapings."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from kpe_core.identity import canonical_json, digest
from kpe_core.study.specs import (
    Classes,
    ClassifierSpace,
    DataSpec,
    Experiment,
    FieldSpec,
    MeasureSpec,
    NetworkField,
    Precision,
    PretrainedField,
    ShapingSpec,
    SolverName,
    Spec,
    StatesSpec,
    Study,
    TrainedSpace,
    evaluations_per_step,
)

if TYPE_CHECKING:
    from kpe_core.data.datasets import Prepared


class Cell(Spec):
    """One combination of a study's choices, before anything is loaded or trained."""

    experiment: str
    label: str
    data: DataSpec
    field: FieldSpec
    """A network's without its checkpoints: which of them it is, the next line says."""
    training_step: int | None = None
    """Steps a network has been trained for; None for fields that are not trained here."""
    solver: SolverName
    tolerance: float | None
    """Of the adaptive solver; None for the others."""
    nfe: int
    guidance: float
    classes: Classes = "even"
    grid: Literal["uniform", "cosine"]
    shaping: ShapingSpec
    n_samples: int
    seed: int
    energy_split: float
    batch: int
    precision: Precision = "float32"
    states: StatesSpec
    measure: MeasureSpec

    @property
    def steps(self) -> int:
        """Intervals of the time grid."""
        return self.nfe // evaluations_per_step(self.solver)

    @property
    def conditional(self) -> bool:
        """Whether samples are asked for by class; ``classes`` then says by which."""
        return isinstance(self.field, NetworkField) or self.field.conditional


class Run(Cell):
    """A cell with the hashes of its data and weights, which complete its identity."""

    fingerprint: str
    weights: str | None
    """SHA-256 of the network's weights, or of a pretrained model's files; None for the exact field."""
    extractors: tuple[str, ...]
    """SHA-256 of the weights behind each of ``measure.spaces``, in order; empty for the coordinates themselves."""
    prompts: str = ""
    """Hash of the class names that prompts hold; empty where no space has prompts."""

    def weights_of(self, space: str) -> str:
        """SHA-256 of the weights behind the space of that name."""
        return self.extractors[[s.name for s in self.measure.spaces].index(space)]

    def sampling_identity(self) -> dict[str, Any]:
        """Everything that determines the trajectories' numbers. Not how they are computed or measured."""
        keep = {
            "field", "training_step", "solver", "tolerance", "nfe", "guidance", "grid", "shaping", "n_samples",
            "seed", "energy_split", "batch", "states", "fingerprint", "weights",
        }  # fmt: skip
        said = {"data": self.data.identity()} | self.model_dump(mode="json", include=keep)
        if isinstance(self.field, PretrainedField):
            said["field"] = self.field.identity()
        # What goes without saying did so before there was a choice: all classes in turn, and float32.
        chosen = self.model_dump(mode="json", include={"classes", "precision"})
        usual = {"classes": "even", "precision": "float32"}
        return said | {name: value for name, value in chosen.items() if value != usual[name]}

    @property
    def trajectories_id(self) -> str:
        return digest("trajectories", self.sampling_identity())

    @property
    def run_id(self) -> str:
        said = [self.sampling_identity(), self.measure.identity(), self.extractors]
        return digest("run", *said, *([self.prompts] if self.prompts else []))

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
        for field, step in _trained(experiment):
            for solver, nfe, guidance, shaping in itertools.product(s.solvers, s.nfe, s.guidance, s.shapings):
                yield Cell(
                    experiment=experiment.name,
                    label=_label(experiment, field, step, solver, nfe, guidance, shaping),
                    data=experiment.data,
                    field=field.model_copy(update={"checkpoints": ()}) if isinstance(field, NetworkField) else field,
                    training_step=step,
                    solver=solver,
                    tolerance=s.tolerance if solver == "dopri5" else None,
                    nfe=nfe,
                    guidance=guidance,
                    classes=s.classes,
                    grid=s.grid,
                    shaping=shaping,
                    n_samples=s.n_samples,
                    seed=s.seed,
                    energy_split=s.energy_split,
                    batch=s.batch,
                    precision=s.precision,
                    states=s.states,
                    measure=experiment.measure,
                )


def _trained(experiment: Experiment) -> Iterator[tuple[FieldSpec, int | None]]:
    """The experiment's fields, networks once for every checkpoint."""
    for field in experiment.fields:
        for step in field.training_steps if isinstance(field, NetworkField) else (None,):
            yield field, step


def twins(study: Study) -> tuple[str, str] | None:
    """Labels of two cells that are the same run under two names; None where there are none."""
    seen: dict[str, str] = {}
    for cell in cells(study):
        choices = canonical_json(cell.model_dump(mode="json", exclude={"experiment", "label"}))
        if choices in seen:
            return seen[choices], cell.label
        seen[choices] = cell.label
    return None


def _label(
    experiment: Experiment,
    field: FieldSpec,
    step: int | None,
    solver: str,
    nfe: int,
    guidance: float,
    shaping: ShapingSpec,
) -> str:
    """The experiment's name, whatever it sweeps, and a precision that is not the usual one."""
    parts = [experiment.name]
    s = experiment.sampling
    if len(experiment.fields) > 1:
        parts.append(f"{field.kind}-{experiment.fields.index(field) + 1}")
    if isinstance(field, NetworkField) and len(field.training_steps) > 1:
        parts.append(f"step{step}")
    if len(s.solvers) > 1:
        parts.append(solver)
    if len(s.nfe) > 1:
        parts.append(f"nfe{nfe}")
    if len(s.guidance) > 1:
        parts.append(f"w{guidance:g}")
    if len(s.shapings) > 1:
        parts.append(_shaping(shaping, s.shapings))
    if s.precision != "float32":
        parts.append(s.precision)
    return " ".join(parts)


def _shaping(shaping: ShapingSpec, sweep: tuple[ShapingSpec, ...]) -> str:
    """A shaping in short: its gains, or the place of a given η among those of the sweep."""
    if shaping.is_plain:
        return "plain"
    if shaping.eta is not None:
        given = [other for other in sweep if other.eta is not None]
        return "kts(eta)" if len(given) == 1 else f"kts(eta-{given.index(shaping) + 1})"
    return f"kts({shaping.alpha0:g}, {shaping.beta0:g})" + _forms(shaping)


def _forms(shaping: ShapingSpec) -> str:
    """The forms and split, where they are not the default ones."""
    default = ShapingSpec()
    said = [
        str(getattr(shaping, name))
        for name in ("launch", "landing", "tau", "rate")
        if getattr(shaping, name) != getattr(default, name)
    ]
    return f"[{', '.join(said)}]" if said else ""


def training_recipe(field: NetworkField, fingerprint: str) -> str:
    """Id of everything that determines a training; not of where on its way it is looked at."""
    return digest("training", field.model_dump(mode="json", exclude={"checkpoints"}), fingerprint)


def weights_recipe(training: str, step: int) -> str:
    """Id of everything that determines a network's weights after ``step`` steps of the training of that recipe."""
    return digest("network", training, step)


def space_recipe(space: TrainedSpace, prepared: "Prepared") -> str:
    """Id of everything that determines a space fitted on the data: a classifier learns the whole train split, principal
    components are those of the field's training points."""
    seen = prepared.split_fingerprint if isinstance(space, ClassifierSpace) else prepared.fingerprint
    return digest(space.extractor, space.feature_identity(), seen)
