"""Stage: sample a shard of a run's trajectories and stream it to the store."""

import hashlib
import time
from typing import Any

import numpy as np
import torch
import zarr
from numpy.typing import NDArray

from kpe_core.data.datasets import load
from kpe_core.errors import NumericalTrouble
from kpe_core.fields.base import VelocityField
from kpe_core.sampling.energy import energies
from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.noise import initial_noise
from kpe_core.sampling.sampler import trajectory
from kpe_core.sampling.shaping import gain
from kpe_core.stages.resolve import field_of
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Plan, Trajectories, kept_states
from kpe_core.study.runs import Run
from kpe_core.study.specs import ExactField
from kpe_core.threads import one_thread


def create_trajectories(store: Store, run: Run, shard_size: int) -> Plan:
    """Lay out a run's Zarr group, unless it is there; afterwards its shards may be sampled in any order, anywhere."""
    prepared = load(run.data)
    exact = isinstance(run.field, ExactField)
    return Trajectories(store, run.trajectories_id).create(
        run, prepared.shape, labels_of(run, prepared.n_classes), exact, shard_size
    )


def labels_of(run: Run, n_classes: int) -> NDArray[np.int64]:
    """Class asked for of every sample: all classes in turn, or −1 where the field is unconditional."""
    index = np.arange(run.n_samples, dtype=np.int64)
    return index % n_classes if run.conditional else np.full_like(index, -1)


def sample_shard(store: Store, run: Run, shard: int) -> dict[str, Any]:
    """Sample one shard, batch by batch, and commit it; returns its marker. Does nothing when it is committed.

    Raises
    ------
    NumericalTrouble
        when the field returns something not finite; names the run, the sample, the step and the time.
    """
    trajectories = Trajectories(store, run.trajectories_id)
    if shard in trajectories.committed():
        return trajectories.marker(shard)
    prepared = load(run.data)
    labels = labels_of(run, prepared.n_classes)
    rows = trajectories.plan().rows(shard)
    start_time = time.perf_counter()
    with one_thread():
        field = field_of(store, run, prepared)
        recorder = Recorder(trajectories.group("r+"), run)
        for start in range(rows[0], rows[1], run.batch):
            stop = min(rows[1], start + run.batch)
            label = torch.from_numpy(labels[start:stop]) if run.conditional else None
            try:
                recorder.record(field, start, stop, label, prepared.shape)
            except NumericalTrouble as trouble:
                raise NumericalTrouble(f"run {run.label}, samples {start}–{stop - 1}: {trouble}") from None
    marker = {
        "rows": list(rows),
        "sha256": recorder.digests(),
        "evaluations": recorder.evaluations,
        "seconds": time.perf_counter() - start_time,
    }
    trajectories.commit(shard, marker)
    return marker


class Recorder:
    """Writes batches of trajectories as the sampler yields their steps. Holds one batch and one block of states."""

    def __init__(self, group: zarr.Group, run: Run) -> None:
        self.run = run
        self.times = time_grid(run.grid, run.steps)
        self.eta = gain(run.shaping, self.times)
        self.arrays = dict(group.arrays())
        self.states = {int(i): k for k, i in enumerate(kept_states(run))}
        self.evaluations = 0
        self._hashes = {name: hashlib.sha256() for name in self.arrays}
        self._written: set[str] = set()

    def record(
        self, field: VelocityField, start: int, stop: int, label: torch.Tensor | None, shape: tuple[int, ...]
    ) -> None:
        """Sample rows ``start`` … ``stop − 1`` and write everything the run keeps of them."""
        x0 = torch.from_numpy(initial_noise(self.run.seed, start, stop, int(np.prod(shape))))
        rows = slice(start, stop)
        block = _StateBlock(self, rows, shape)
        block.offer(0, x0)
        power = np.empty((stop - start, self.run.steps))
        posterior = np.full_like(power, np.nan)
        path_length = np.zeros(stop - start)
        x1 = x0
        for step in trajectory(field, x0, label, self.times, self.eta, self.run.solver):
            power[:, step.index] = step.power.numpy()
            if step.posterior_max is not None:
                posterior[:, step.index] = step.posterior_max.numpy()
            path_length += step.speed.numpy() * (self.times[step.index + 1] - self.times[step.index])
            block.offer(step.index + 1, step.state)
            self.evaluations += step.evaluations
            x1 = step.state
        e = energies(power, self.times, self.eta, self.run.energy_split)
        self.write("power", (rows,), power)
        if "posterior_max" in self.arrays:
            self.write("posterior_max", (rows,), posterior)
        for name, values in vars(e).items():
            self.write(name, (rows,), values)
        self.write("path_length", (rows,), path_length)
        self.write("displacement", (rows,), torch.linalg.vector_norm(x1 - x0, dim=1).numpy())
        self.write("x1", (rows,), x1.numpy().astype(np.float32).reshape(-1, *shape))

    def write(self, name: str, region: tuple[slice, ...], values: NDArray) -> None:
        values = np.ascontiguousarray(values)
        self.arrays[name][region] = values
        self._hashes[name].update(values.tobytes())
        self._written.add(name)

    def digests(self) -> dict[str, str]:
        """SHA-256 of what was written, per array."""
        return {name: self._hashes[name].hexdigest() for name in sorted(self._written)}


class _StateBlock:
    """Buffers kept states until a whole Zarr object of them is there."""

    def __init__(self, recorder: Recorder, rows: slice, shape: tuple[int, ...]) -> None:
        self.recorder = recorder
        self.rows = rows
        self.n_states = len(recorder.states)
        if self.n_states:
            size = min(recorder.arrays["x"].shards[1], self.n_states)  # type: ignore[index]
            self.buffer = np.empty((rows.stop - rows.start, size, *shape), dtype=np.float32)
        self.first = self.filled = 0

    def offer(self, grid_index: int, state: torch.Tensor) -> None:
        if grid_index not in self.recorder.states:
            return
        self.buffer[:, self.filled] = state.numpy().reshape(-1, *self.buffer.shape[2:])
        self.filled += 1
        if self.filled == self.buffer.shape[1] or self.first + self.filled == self.n_states:
            region = (self.rows, slice(self.first, self.first + self.filled))
            self.recorder.write("x", region, self.buffer[:, : self.filled])
            self.first, self.filled = self.first + self.filled, 0
