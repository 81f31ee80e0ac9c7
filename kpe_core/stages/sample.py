"""Stage: sample a shard of a run's trajectories and stream it to the store."""

import functools
import hashlib
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
import zarr
from numpy.typing import NDArray

from kpe_core.data.datasets import load
from kpe_core.devices import CPU, device_here, device_name
from kpe_core.errors import NumericalTrouble
from kpe_core.fields.base import VelocityField
from kpe_core.fields.bridges import bridge
from kpe_core.fields.trust import ROWS, require_trusted
from kpe_core.fields.within_memory import WithinMemory, room_for
from kpe_core.identity import digest
from kpe_core.precision import precision
from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.noise import initial_noise
from kpe_core.sampling.path import follow
from kpe_core.sampling.sampler import Course
from kpe_core.sampling.shaping import breaks, gain
from kpe_core.stages.labels import labels_of
from kpe_core.stages.resolve import field_of
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Plan, Trajectories, kept_states
from kpe_core.study.runs import Run
from kpe_core.study.specs import ExactField
from kpe_core.threads import one_thread


def create_trajectories(store: Store, run: Run, shard_size: int, origin: dict[str, Any] | None = None) -> Plan:
    """Lay out a run's Zarr group, unless it is there; afterwards its shards may be sampled in any order, anywhere.

    ``origin``: the provenance to write, where it is not this process's.
    """
    prepared = load(run.data)
    exact = isinstance(run.field, ExactField)
    return Trajectories(store, run.trajectories_id).create(
        run, prepared.shape, labels_of(run, prepared), exact, shard_size, origin
    )


def sample_shard(store: Store, run: Run, shard: int) -> dict[str, Any]:
    """Sample one shard, batch by batch, and commit it; returns its marker. Does nothing when it is committed.

    Raises
    ------
    NumericalTrouble
        when the field returns something not finite or of another form than its states, answers the same question twice
        differently, or a path leaves all bounds; names the run, the sample, the step and the time. What is odd but allowed,
        such as a field that ignores t, is in the marker's ``flags``.
    UserError
        when the device cannot have the run's precision, or its memory does not hold one sample's evaluation.
    """
    trajectories = Trajectories(store, run.trajectories_id)
    if shard in trajectories.committed():
        return trajectories.marker(shard)
    prepared = load(run.data)
    labels = labels_of(run, prepared)
    rows = trajectories.plan().rows(shard)
    start_time, device = time.perf_counter(), device_here()
    room = room_for(
        digest(run.field.model_dump(mode="json"), run.fingerprint, run.weights, run.guidance, run.precision)
    )
    with one_thread(), precision(run.precision, device):
        field = WithinMemory(field_of(store, run, prepared, device), room)
        recorder = Recorder(trajectories.group("r+"), run, device)
        flags: list[str] = []
        for start in range(rows[0], rows[1], run.batch):
            stop = min(rows[1], start + run.batch)
            label = torch.from_numpy(labels[start:stop]) if run.conditional else None
            try:
                if start == rows[0]:
                    x0 = torch.from_numpy(initial_noise(run.seed, start, min(stop, start + ROWS), prepared.dim)).to(
                        device
                    )
                    flags = require_trusted(field, x0, None if label is None else label.to(device))
                recorder.record(field, start, stop, label, prepared.shape)
            except NumericalTrouble as trouble:
                which = f"samples {start}–{stop - 1}" if trouble.row is None else f"sample {start + trouble.row}"
                raise NumericalTrouble(f"run {run.label}, {which}: {trouble}") from None
    marker = {
        "rows": list(rows),
        "shard_size": trajectories.plan().shard_size,
        "sha256": recorder.digests(),
        "evaluations": recorder.evaluations,
        "device": device_name(device),
        "together": room.together(run.batch),
        "seconds": time.perf_counter() - start_time,
        "flags": flags,
    }
    trajectories.commit(shard, marker)
    return marker


def course_of(run: Run) -> Course:
    """How the run's spec wants its paths followed."""
    corners = {*breaks(run.shaping), *bridge(run.field.bridge).breaks}
    return Course(
        times=time_grid(run.grid, run.steps),
        eta=functools.partial(gain, run.shaping),
        solver=run.solver,
        breaks=tuple(sorted(corners)),
        tolerance=run.tolerance or Course.tolerance,
    )


class Recorder:
    """Writes batches of trajectories as the sampler yields their steps.

    Paths are followed on ``device``, from noise made on the CPU whatever the device. Writing overlaps computing: one thread
    compresses, hashes and stores one block of states while the next one fills.
    """

    def __init__(self, group: zarr.Group, run: Run, device: torch.device = CPU) -> None:
        self.run, self.device = run, device
        self.course = course_of(run)
        self.arrays = dict(group.arrays())
        self.states = {int(i): k for k, i in enumerate(kept_states(run))}
        self.evaluations = 0
        self._hashes = {name: hashlib.sha256() for name in self.arrays}
        self._written: set[str] = set()
        self._writer = _writer(os.getpid())
        self._pending: Future[None] | None = None

    def record(
        self, field: VelocityField, start: int, stop: int, label: torch.Tensor | None, shape: tuple[int, ...]
    ) -> None:
        """Sample rows ``start`` … ``stop − 1`` and write everything the run keeps of them."""
        x0 = torch.from_numpy(initial_noise(self.run.seed, start, stop, int(np.prod(shape)))).to(self.device)
        label = None if label is None else label.to(self.device)
        rows = slice(start, stop)
        block = _StateBlock(self, rows, shape)
        path = follow(field, x0, label, self.course, self.run.energy_split, keep=block.offer)
        per_step = {"power": path.spent.power, "energy": path.spent.energy} | path.told
        for name, values in (per_step | vars(path.energies)).items():
            self.write(name, (rows,), values)
        self.write("x1", (rows,), path.x1.cpu().numpy().astype(np.float32).reshape(-1, *shape))
        self.evaluations += (stop - start) * path.evaluations

    def write(self, name: str, region: tuple[slice, ...], values: NDArray) -> None:
        """Hand ``values`` to the writing thread once it is done with what it was handed before; do not change them."""
        self.settle()
        self._pending = self._writer.submit(self._write, name, region, np.ascontiguousarray(values))

    def _write(self, name: str, region: tuple[slice, ...], values: NDArray) -> None:
        self.arrays[name][region] = values
        self._hashes[name].update(values.data)
        self._written.add(name)

    def settle(self) -> None:
        """Wait until everything handed over is stored; raises what went wrong there."""
        if self._pending is not None:
            self._pending.result()
            self._pending = None

    def digests(self) -> dict[str, str]:
        """SHA-256 of what was written, per array, once all of it is stored."""
        self.settle()
        return {name: self._hashes[name].hexdigest() for name in sorted(self._written)}


@functools.cache
def _writer(process: int) -> ThreadPoolExecutor:
    """The writing thread of a process, kept from shard to shard: a thread that has no memory to start is waited for for
    ever. A forked process has none of its parent's threads, and so another one."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"writer of {process}")


class _StateBlock:
    """Buffers kept states until a whole Zarr object of them is there."""

    def __init__(self, recorder: Recorder, rows: slice, shape: tuple[int, ...]) -> None:
        self.recorder = recorder
        self.rows = rows
        self.n_states = len(recorder.states)
        if self.n_states:
            size = min(recorder.arrays["x"].shards[1], self.n_states)  # type: ignore[index]
            self.buffer, self.spare = (np.empty((rows.stop - rows.start, size, *shape), dtype=np.float32) for _ in "ab")
        self.first = self.filled = 0

    def offer(self, grid_index: int, state: torch.Tensor) -> None:
        if grid_index not in self.recorder.states:
            return
        self.buffer[:, self.filled] = state.cpu().numpy().reshape(-1, *self.buffer.shape[2:])
        self.filled += 1
        if self.filled == self.buffer.shape[1] or self.first + self.filled == self.n_states:
            region = (self.rows, slice(self.first, self.first + self.filled))
            self.recorder.write("x", region, self.buffer[:, : self.filled])
            # The writing thread keeps this one until the next is handed over.
            self.buffer, self.spare = self.spare, self.buffer
            self.first, self.filled = self.first + self.filled, 0
