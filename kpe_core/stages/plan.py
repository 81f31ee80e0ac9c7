"""What a study will cost, before anything runs."""

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from kpe_core.data.datasets import Prepared, load
from kpe_core.features.extractor import extract
from kpe_core.features.registry import build as build_extractor
from kpe_core.features.registry import dimension
from kpe_core.fields.base import VelocityField
from kpe_core.fields.network import NetworkVelocity, build
from kpe_core.fields.pretrained.field import pretrained_field
from kpe_core.fields.pretrained.layouts import weights_hash
from kpe_core.fields.training import train
from kpe_core.measure.density import fit
from kpe_core.sampling.noise import initial_noise
from kpe_core.stages.measure import density_of
from kpe_core.stages.requirements import require_all_possible
from kpe_core.stages.resolve import exact_field
from kpe_core.store.trajectories import PER_EXACT_STEP, PER_SAMPLE, PER_STEP, Plan, kept_states, shard_size_for
from kpe_core.study.runs import Cell, cells
from kpe_core.study.specs import (
    DATA,
    ClassifierSpace,
    DataSpec,
    DensitySpec,
    ExactField,
    FieldSpec,
    NetworkField,
    PixelSpace,
    PretrainedField,
    SpaceSpec,
    Study,
    TrainedSpace,
)
from kpe_core.threads import one_thread

TASK_SECONDS = 0.4
"""What the orchestrator adds to one task."""
RECORDING = 1.4
"""Times the bare evaluations that sampling takes with energies, checksums and writing (`make bench`)."""
CROWDING = 1.5
"""Times slower a core is when all of them work."""
CLASSIFIER_SECONDS = 10.0
ADAPTIVE_VELOCITIES = 250
"""What dopri5 takes between the grid's points at its default tolerance, by and large."""
PROBE = 64
PROBE_STEPS = 4
PROBE_IMAGES = 4
USUAL_FEATURES = 512


@dataclass(frozen=True)
class Cost:
    """One cell's cost. Seconds are of one core; bytes are uncompressed."""

    cell: Cell
    shards: int
    evaluations: int
    bytes: int
    sampling_seconds: float
    measuring_seconds: float


@dataclass(frozen=True)
class StudyPlan:
    costs: list[Cost]
    networks: dict[tuple[DataSpec, NetworkField], float]
    """Seconds of one core to train each network the study needs."""
    spaces_seconds: float
    """Of all classifiers, and of the real data's features; one core."""

    @property
    def training_seconds(self) -> float:
        """Of all that comes before sampling and measuring; one core."""
        return sum(self.networks.values()) + self.spaces_seconds

    def wall_seconds(self, workers: int) -> float:
        """Estimated time on ``workers`` equal workers, training included, start-up aside."""
        work = sum(c.sampling_seconds + c.measuring_seconds for c in self.costs) + self.training_seconds
        tasks = sum(2 * c.shards + 1 for c in self.costs)
        return (CROWDING * work + TASK_SECONDS * tasks) / workers


def plan(study: Study, shard_size: int) -> StudyPlan:
    """Cost of every cell, timed on one batch of its own field here and now.

    Raises
    ------
    UserError
        when a file is missing, or an experiment asks of its data what they cannot give.
    """
    require_all_possible(study)
    with one_thread():
        costs = [_cost(cell, shard_size) for cell in cells(study)]
        needed = {(c.data, c.field): None for c in cells(study) if isinstance(c.field, NetworkField)}
        networks = {(data, field): _training_seconds(data, field) for data, field in needed}
        spaces = {(load(c.data).split_fingerprint, s): c.data for c in cells(study) for s in c.measure.spaces}
        seconds = sum(_real_features_seconds(data, space) for (_, space), data in spaces.items())
    return StudyPlan(costs, networks, seconds)


def _cost(cell: Cell, shard_size: int) -> Cost:
    prepared = load(cell.data)
    evaluation = _evaluation_seconds(cell.data, cell.field, min(cell.batch, cell.n_samples))
    velocities = cell.nfe + (ADAPTIVE_VELOCITIES if cell.tolerance is not None else 0)
    evaluations = cell.n_samples * velocities * (1 if cell.guidance == 1.0 else 2)
    densities = [_density_seconds(cell.data, spec, _features(cell, spec.space)) for spec in cell.measure.densities]
    looking = sum(_extraction_seconds(cell.data, space) for space in cell.measure.spaces)
    return Cost(
        cell=cell,
        shards=Plan(cell.n_samples, shard_size_for(cell, shard_size)).n_shards,
        evaluations=evaluations,
        bytes=stored_bytes(cell, prepared.dim),
        sampling_seconds=RECORDING * evaluation * evaluations,
        measuring_seconds=looking * cell.n_samples
        + sum(fitting + each * cell.n_samples for fitting, each in densities),
    )


def stored_bytes(cell: Cell, dim: int) -> int:
    """States and endpoints in float32; powers, energies and what an exact field tells in float64."""
    states = len(kept_states(cell))
    told = len(PER_STEP) + (len(PER_EXACT_STEP) if isinstance(cell.field, ExactField) else 0)
    per_step = 8 * cell.steps * told
    return cell.n_samples * (4 * dim * (states + 1) + per_step + 8 * len(PER_SAMPLE))


@functools.lru_cache(maxsize=64)
def _evaluation_seconds(data: DataSpec, field: FieldSpec, batch: int) -> float:
    """Seconds per sample and evaluation of the very field, untrained where it is a network."""
    prepared = load(data)
    velocity: VelocityField
    if isinstance(field, NetworkField):
        velocity = NetworkVelocity(build(field, prepared.shape, prepared.n_classes))
    elif isinstance(field, PretrainedField):
        velocity = pretrained_field(field, prepared.shape, weights_hash(field))
    else:
        velocity = exact_field(field, prepared)
    x = torch.from_numpy(initial_noise(0, 0, batch, prepared.dim))
    asked = isinstance(field, NetworkField) or field.conditional
    label = torch.arange(batch) % prepared.n_classes if asked else None
    return _seconds(lambda: velocity.evaluate(x, 0.5, label)) / batch


def _features(cell: Cell, space: str) -> int:
    """Features of the space of that name; 0 for the coordinates, a common size where the spec does not tell."""
    if space == DATA:
        return 0
    return dimension(cell.measure.space(space)) or USUAL_FEATURES


@functools.lru_cache(maxsize=64)
def _extraction_seconds(data: DataSpec, space: SpaceSpec) -> float:
    """Seconds to compute one image's features with a pretrained network; the others' are not worth counting."""
    if isinstance(space, PixelSpace | TrainedSpace):
        return 0.0
    prepared = load(data)
    extractor, x = build_extractor(space, prepared), torch.from_numpy(prepared.points[:PROBE_IMAGES])
    return _seconds(lambda: extract(extractor, x), repeats=1) / len(x)


def _real_features_seconds(data: DataSpec, space: SpaceSpec) -> float:
    prepared = load(data)
    fitting = CLASSIFIER_SECONDS if isinstance(space, ClassifierSpace) else 0.0
    return fitting + _extraction_seconds(data, space) * (len(prepared.train) + len(prepared.held_out))


@functools.lru_cache(maxsize=64)
def _density_seconds(data: DataSpec, spec: DensitySpec, features: int) -> tuple[float, float]:
    """Seconds to fit one density estimate, and per sample to ask it; in feature space with noise for features."""
    start = time.perf_counter()
    points = torch.from_numpy(load(data).points)
    if spec.space != DATA:
        points = torch.from_numpy(initial_noise(0, 0, len(points), features))
        density = fit(points, spec)
    else:
        density = density_of(data, spec)
    fitting = time.perf_counter() - start
    x = points[:PROBE]
    return fitting, _seconds(lambda: density.log_density(x), repeats=1) / len(x)


def _training_seconds(data: DataSpec, field: object) -> float:
    assert isinstance(field, NetworkField)
    prepared: Prepared = load(data)
    # Timed here, whatever machine will train.
    probe = field.model_copy(update={"steps": PROBE_STEPS, "warmup": None, "precision": "float32"})
    return _seconds(
        lambda: train(probe, prepared.points, prepared.point_labels, prepared.n_classes, prepared.shape), repeats=2
    ) * field.steps / probe.steps  # fmt: skip


def _seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Median time of ``work`` after one warm-up."""
    work()
    return float(np.median(list(_times(work, repeats))))


def _times(work: Callable[[], object], repeats: int) -> Iterator[float]:
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        yield time.perf_counter() - start
