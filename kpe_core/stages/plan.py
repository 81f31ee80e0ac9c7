"""What a study will cost, before anything runs."""

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from kpe_core.data.datasets import Prepared, load
from kpe_core.fields.base import VelocityField
from kpe_core.fields.efm import ExactField as ExactVelocity
from kpe_core.fields.network import NetworkVelocity
from kpe_core.fields.training import build, train
from kpe_core.measure.density import log_density
from kpe_core.sampling.noise import initial_noise
from kpe_core.stages.requirements import require_possible
from kpe_core.store.trajectories import Plan, kept_states, shard_size_for
from kpe_core.study.runs import Cell, cells
from kpe_core.study.specs import DataSpec, NetworkField, Study
from kpe_core.threads import one_thread

TASK_SECONDS = 0.4
"""What the orchestrator adds to one task."""
RECORDING = 1.4
"""Times the bare evaluations that sampling takes with energies, checksums and writing (`make bench`)."""
CROWDING = 1.5
"""Times slower a core is when all of them work."""
CLASSIFIER_SECONDS = 10.0
PROBE = 64


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
    training_seconds: float
    """Of all networks and classifiers the study needs, one core."""

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
        when an experiment asks of its data what they cannot give.
    """
    for cell in cells(study):
        require_possible(cell)
    with one_thread():
        costs = [_cost(cell, shard_size) for cell in cells(study)]
        networks = {(c.data, c.field) for c in cells(study) if isinstance(c.field, NetworkField)}
        classifiers = {
            (c.data.name, c.data.prepare, c.measure.classifier) for c in cells(study) if c.measure.classifier
        }
        seconds = sum(_training_seconds(data, field) for data, field in networks) + CLASSIFIER_SECONDS * len(
            classifiers
        )
    return StudyPlan(costs, seconds)


def _cost(cell: Cell, shard_size: int) -> Cost:
    prepared = load(cell.data)
    evaluation = _evaluation_seconds(cell.data, cell.field, min(cell.batch, cell.n_samples))
    return Cost(
        cell=cell,
        shards=Plan(cell.n_samples, shard_size_for(cell, shard_size)).n_shards,
        evaluations=cell.n_samples * cell.nfe,
        bytes=stored_bytes(cell, prepared.dim),
        sampling_seconds=RECORDING * evaluation * cell.n_samples * cell.nfe,
        measuring_seconds=sum(_density_seconds(cell.data, spec) for spec in cell.measure.densities) * cell.n_samples,
    )


def stored_bytes(cell: Cell, dim: int) -> int:
    """States and endpoints in float32, power (and posterior) per step in float64, energies per sample."""
    states = len(kept_states(cell))
    per_step = 8 * cell.steps * (1 if cell.conditional else 2)
    return cell.n_samples * (4 * dim * (states + 1) + per_step + 8 * 9)


@functools.lru_cache(maxsize=64)
def _evaluation_seconds(data: DataSpec, field: object, batch: int) -> float:
    """Seconds per sample and evaluation of the very field, untrained where it is a network."""
    prepared = load(data)
    velocity: VelocityField
    if isinstance(field, NetworkField):
        velocity = NetworkVelocity(build(field, prepared.dim, prepared.n_classes))
    else:
        velocity = ExactVelocity(torch.from_numpy(prepared.points), getattr(torch, getattr(field, "dtype", "float64")))
    x = torch.from_numpy(initial_noise(0, 0, batch, prepared.dim))
    label = torch.zeros(batch, dtype=torch.int64)
    return _seconds(lambda: velocity.evaluate(x, 0.5, label)) / batch


@functools.lru_cache(maxsize=64)
def _density_seconds(data: DataSpec, spec: object) -> float:
    """Seconds per sample of one density estimate."""
    points = torch.from_numpy(load(data).points)
    x = points[:PROBE]
    return _seconds(lambda: log_density(x, points, spec), repeats=1) / len(x)  # type: ignore[arg-type]


def _training_seconds(data: DataSpec, field: object) -> float:
    assert isinstance(field, NetworkField)
    prepared: Prepared = load(data)
    probe = field.model_copy(update={"steps": 8})
    return _seconds(
        lambda: train(probe, prepared.points, prepared.point_labels, prepared.n_classes), repeats=2
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
