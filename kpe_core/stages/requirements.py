"""What a study still needs: the trainings it depends on, and how far it has come."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from kpe_core.data import planar
from kpe_core.data.class_names import BESIDE, SYNSET
from kpe_core.data.datasets import Prepared, load
from kpe_core.data.registry import SETS
from kpe_core.errors import UserError
from kpe_core.features.decoder import vae_sha256
from kpe_core.features.images import images_of
from kpe_core.features.pca import most_components
from kpe_core.features.registry import dimension, weights_file
from kpe_core.fields.pretrained.field import pretrained_field
from kpe_core.fields.pretrained.layouts import weights_hash
from kpe_core.measure.covariance import whitening
from kpe_core.measure.density import estimator_name
from kpe_core.stages.labels import class_numbers, labels_of
from kpe_core.stages.manifest import is_finalised
from kpe_core.stages.measure import measured
from kpe_core.stages.resolve import resolve
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.store.weights import WeightsBox
from kpe_core.study.names import DATASETS
from kpe_core.study.runs import Cell, Run, cells, space_recipe, training_recipe, weights_recipe
from kpe_core.study.specs import (
    DATA,
    ClassifierSpace,
    ClipSpace,
    DataSpec,
    DensitySpec,
    KdeDensity,
    KnnDensity,
    NetworkField,
    PcaSpace,
    PixelSpace,
    PretrainedField,
    SpaceSpec,
    Study,
    TrainedSpace,
    TrueDensity,
    UNetField,
)

SMALLEST_SIDE = 4
"""Of images the classifier can take: it halves them twice."""
MOST_PROBLEMS = 12
"""Told at once: more than the files any one study needs."""
SMALLEST_LEVEL = 2
"""Pixels a side of a U-Net's lowest level."""


def require_all_possible(study: Study) -> None:
    """``require_possible`` of every cell, everything that is missing or cannot be told at once.

    Raises
    ------
    UserError
        with one problem a line, each once.
    """
    problems: dict[str, None] = {}
    for cell in cells(study):
        checks: list[Callable[[], object]] = [*_file_checks(cell), functools.partial(require_possible, cell)]
        for check in checks:
            try:
                check()
            except UserError as error:
                problems[str(error)] = None
    told = list(problems)
    more = [f"(and {len(told) - MOST_PROBLEMS} more)"] if len(told) > MOST_PROBLEMS else []
    if told:
        raise UserError("\n".join(told[:MOST_PROBLEMS] + more))


def require_possible(cell: Cell) -> None:
    """Load the cell's data and its pretrained model, and see whether what it asks of them can be had.

    Raises
    ------
    UserError
        when it cannot; names the experiment.
    """
    prepared = load(cell.data)
    for space in cell.measure.spaces:
        _require_space(cell, prepared, space)
    if isinstance(cell.field, UNetField):
        _require_levels(cell, prepared, cell.field)
    class_numbers(cell.classes, prepared)
    if isinstance(cell.field, PretrainedField):
        _require_model(cell, prepared, cell.field)
    elif cell.conditional:
        _require_classes(cell, prepared)
    if not cell.conditional and cell.classes != "even":
        raise UserError(
            f"{cell.experiment}.sampling.classes: this field is not asked by class; "
            "give the exact field `conditional: true`"
        )
    for spec in cell.measure.densities:
        _require_density(cell, prepared, spec)


def require_model(cell: Cell) -> None:
    """Load a cell's pretrained model, if its field is one, and ask it once.

    Raises
    ------
    UserError
        when its file is broken or missing, or is not what the cell says of it.
    """
    if isinstance(cell.field, PretrainedField):
        _require_model(cell, load(cell.data), cell.field)


def _require_space(cell: Cell, prepared: Prepared, space: SpaceSpec) -> None:
    where = f"{cell.experiment}.measure.spaces {space.name}"
    match space:
        case PixelSpace():
            pass
        case PcaSpace():
            if space.components > (most := most_components(prepared.n_points, prepared.dim)):
                raise UserError(
                    f"{where}: {prepared.n_points} training points in {prepared.dim} dimensions have {most} components, "
                    f"not {space.components}"
                )
        case ClassifierSpace():
            if not (prepared.is_spatial and min(prepared.shape[-2:]) >= SMALLEST_SIDE):
                raise UserError(
                    f"{where} needs images of at least {SMALLEST_SIDE}×{SMALLEST_SIDE} pixels; {cell.data.name!r} as "
                    f"prepared has points of shape {prepared.shape}"
                )
        case _:
            weights_file(space)
            if prepared.vae is not None:
                vae_sha256(prepared.vae)
            try:
                images_of(prepared)
            except UserError as error:
                raise UserError(f"{where}: {error}") from None
            if isinstance(space, ClipSpace):
                _require_names(where, prepared)


def _require_names(where: str, prepared: Prepared) -> None:
    unnamed = [name for name in prepared.class_names if name.isdigit() or SYNSET.fullmatch(name)]
    if unnamed and "class_names" in DATASETS[prepared.name].options:
        raise UserError(
            f"{where}: prompts want the classes' names, and {prepared.name!r} only numbers them ({unnamed[0]}, …); put "
            f"{' or '.join(BESIDE)} beside the data, or set data.class_names to a file, or to imagenet for its 1000 names"
        )


def _require_levels(cell: Cell, prepared: Prepared, field: UNetField) -> None:
    if len(prepared.shape) not in (2, 3):
        raise UserError(
            f"{cell.experiment}.fields: a U-Net is for images; {cell.data.name!r} as prepared has points of shape "
            f"{prepared.shape}. Use kind: mlp"
        )
    side = min(prepared.shape[-2:])
    lowest = -(-side // (field.patch * 2 ** (len(field.multipliers) - 1)))
    if lowest < SMALLEST_LEVEL:
        raise UserError(
            f"{cell.experiment}.fields: {len(field.multipliers)} multipliers and patch {field.patch} leave {lowest} pixel "
            f"of a side of {side}; use fewer multipliers or a smaller patch"
        )


def _require_classes(cell: Cell, prepared: Prepared) -> None:
    asked = np.unique(labels_of(cell, prepared))
    if without := np.setdiff1d(asked, prepared.point_labels).tolist():
        raise UserError(
            f"{cell.experiment}.data: samples are asked for by class, and none of the {prepared.n_points} training points "
            f"is of class {', '.join(map(str, without))}; raise data.n_train"
        )


def _require_model(cell: Cell, prepared: Prepared, field: PretrainedField) -> None:
    if field.n_classes is not None and (highest := int(labels_of(cell, prepared).max())) >= field.n_classes:
        raise UserError(
            f"{cell.experiment}.fields: samples are asked for by class, up to {highest}, and the model has "
            f"n_classes = {field.n_classes}; choose sampling.classes"
        )
    weights = weights_hash(field)
    try:
        pretrained_field(field, prepared.shape, weights)
    except UserError as error:
        raise UserError(f"{cell.experiment}.fields: {error}") from None


def _file_checks(cell: Cell) -> Iterator[Callable[[], object]]:
    """That files are there, each whatever there is of the others."""
    yield functools.partial(SETS[cell.data.name].index, cell.data)
    if isinstance(cell.field, PretrainedField):
        yield functools.partial(weights_hash, cell.field)
    if cell.data.vae is not None:
        yield functools.partial(vae_sha256, cell.data.vae)
    for space in cell.measure.spaces:
        if not isinstance(space, PixelSpace | TrainedSpace):
            yield functools.partial(weights_file, space)


def _require_density(cell: Cell, prepared: Prepared, spec: DensitySpec) -> None:
    where, n = f"{cell.experiment}.measure.densities {estimator_name(spec)}", prepared.n_points
    if isinstance(spec, TrueDensity) and prepared.name not in planar.SETS:
        raise UserError(
            f"{where}: the density behind {prepared.name!r} is not known; it is for {', '.join(sorted(planar.SETS))}. "
            "Use knn or kde"
        )
    if isinstance(spec, KnnDensity) and n < spec.k + spec.leave_one_out:
        raise UserError(
            f"{where}: {spec.k + spec.leave_one_out} neighbours are asked of {n} training points; "
            "raise data.n_train or lower measure.densities k"
        )
    if isinstance(spec, KdeDensity) and spec.space == DATA:
        try:
            whitening(torch.from_numpy(prepared.points), spec.covariance)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
    if isinstance(spec, KdeDensity) and spec.space != DATA and spec.covariance == "full":
        d = dimension(cell.measure.space(spec.space))
        if d is not None and n <= d:
            raise UserError(
                f"{where}: {n} training points have a singular covariance in the {d} features of space {spec.space!r}; "
                "use shrunk, fewer features or a larger data.n_train"
            )


@dataclass(frozen=True)
class Training:
    """One thing to train, and the id of all that determines it."""

    kind: Literal["classifier", "network", "pca"]
    recipe: str
    label: str
    data: DataSpec
    spec: TrainedSpace | NetworkField
    steps: tuple[int, ...] = ()
    """Of a network: those after which its weights are stored."""

    def is_done(self, store: Store) -> bool:
        boxes = [weights_recipe(self.recipe, step) for step in self.steps] or [self.recipe]
        return all(WeightsBox(store, recipe).card() is not None for recipe in boxes)

    def as_parameters(self) -> dict[str, Any]:
        """As a task takes it: plain dicts and strings."""
        data, spec = self.data.model_dump(mode="json"), self.spec.model_dump(mode="json")
        return {"label": self.label, "kind": self.kind, "data": data, "spec": spec, "steps": list(self.steps)}


def trainings_of(cell: Cell) -> list[Training]:
    """What ``cell`` needs trained, whether or not it already is."""
    prepared = load(cell.data)
    needed = []
    for space in cell.measure.spaces:
        if isinstance(space, TrainedSpace):
            recipe, label = space_recipe(space, prepared), f"{space.name} for {cell.experiment}"
            needed.append(Training(space.extractor, recipe, label, cell.data, space))
    if isinstance(cell.field, NetworkField):
        assert cell.training_step is not None
        recipe, steps = training_recipe(cell.field, prepared.fingerprint), (cell.training_step,)
        needed.append(Training("network", recipe, f"network for {cell.experiment}", cell.data, cell.field, steps))
    return needed


def missing_trainings(store: Store, study: Study) -> list[Training]:
    """Trainings without weights in the store, each once for all its steps, the shorter ones first."""
    needed: dict[str, Training] = {}
    for training in (t for cell in cells(study) for t in trainings_of(cell)):
        known = needed.setdefault(training.recipe, training)
        needed[training.recipe] = replace(known, steps=tuple(sorted({*known.steps, *training.steps})))
    missing = [t for t in needed.values() if not t.is_done(store)]
    return sorted(missing, key=lambda t: t.kind == "network")


@dataclass(frozen=True)
class Standing:
    """How far a study has come in a store."""

    samples: int
    samples_done: int
    shards_measured: int
    shards: int
    """Of the runs whose trajectories have been laid out."""
    runs: int
    runs_done: int
    trainings_missing: int

    @property
    def complete(self) -> bool:
        return self.runs_done == self.runs


def standing(store: Store, study: Study) -> Standing:
    """Counts what the store holds of ``study``; cheap enough to ask twice a second."""
    samples = done = measured_shards = shards = finished = 0
    expanded = list(cells(study))
    for cell in expanded:
        samples += cell.n_samples
        run = resolve(store, cell)
        if run is None:
            continue
        if is_finalised(store, run):
            finished += 1
            done += run.n_samples
            continue
        sampled, all_shards = sampled_rows(store, run)
        done += sampled
        shards += all_shards
        measured_shards += len(measured(store, run))
    missing = len(missing_trainings(store, study))
    return Standing(samples, done, measured_shards, shards, len(expanded), finished, missing)


def sampled_rows(store: Store, run: Run) -> tuple[int, int]:
    """Samples committed, and shards in all; (0, 0) where the trajectories are not laid out yet."""
    trajectories = Trajectories(store, run.trajectories_id)
    if not trajectories.exists():
        return 0, 0
    plan = trajectories.plan()
    rows = [plan.rows(shard) for shard in trajectories.committed()]
    return sum(stop - start for start, stop in rows), plan.n_shards
