"""The rows of one flow run's telemetry: ``studies/<study>/telemetry/<started>.parquet``, rewritten whole as it grows."""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from kpe_core.store.schema import TELEMETRY
from kpe_core.store.store import Store

FOLDER = "telemetry"
WINDOW = 60.0
"""Seconds over which rates are taken: samples come a shard at a time, and shards take seconds."""


@dataclass(frozen=True)
class WorkerLoad:
    """What one worker does now. Bytes; ``gpu_use`` is a share; None where it has no GPU that tells."""

    name: str
    memory: int
    executing: int
    queued: int
    gpu_memory: int | None = None
    gpu_use: float | None = None


@dataclass(frozen=True)
class ClusterLoad:
    """What the workers do now; ``waiting`` tasks are with none of them yet."""

    workers: tuple[WorkerLoad, ...] = ()
    waiting: int = 0
    own_gpus: bool = False
    """Whether no two workers tell of the same GPU."""

    @property
    def memory(self) -> int:
        return sum(w.memory for w in self.workers)

    @property
    def executing(self) -> int:
        return sum(w.executing for w in self.workers)

    @property
    def queued(self) -> int:
        return self.waiting + sum(w.queued for w in self.workers)

    @property
    def gpu_memory(self) -> int | None:
        """Of all GPUs; where several workers may tell of one GPU, the largest."""
        told = [w.gpu_memory for w in self.workers if w.gpu_memory is not None]
        return (sum(told) if self.own_gpus else max(told)) if told else None

    @property
    def gpu_use(self) -> float | None:
        """The mean of all GPUs; where several workers may tell of one GPU, the largest."""
        told = [w.gpu_use for w in self.workers if w.gpu_use is not None]
        return (sum(told) / len(told) if self.own_gpus else max(told)) if told else None


class TelemetryTable:
    """Collects rows and writes all of them at once, so that the object is whole whenever it is read."""

    def __init__(self, store: Store, study: str, started: datetime, samples_total: int) -> None:
        self.store, self.study, self.started, self.samples_total = store, study, started, samples_total
        self.path = f"studies/{study}/{FOLDER}/{started.astimezone(UTC):%Y%m%dT%H%M%S%fZ}.parquet"
        self.samples_per_s: float | None = None
        self.bytes_per_s: float | None = None
        self._table = TELEMETRY.empty_table()
        self._new: list[dict[str, Any]] = []
        self._window: deque[tuple[float, int, int]] = deque()

    def add(self, at: float, load: ClusterLoad, samples: int, size: int) -> None:
        """``at``: seconds since the start; ``samples`` and ``size`` (bytes): in the store."""
        self._measure(at, samples, size)
        moment = {"study": self.study, "started": self.started.astimezone(UTC).replace(tzinfo=None), "elapsed": at}
        loads: list[tuple[str | None, WorkerLoad | ClusterLoad]] = [(None, load), *((w.name, w) for w in load.workers)]
        for name, each in loads:
            self._new.append(
                moment
                | {"worker": name, "memory": each.memory, "executing": each.executing, "queued": each.queued}
                | {"gpu_memory": each.gpu_memory, "gpu_use": each.gpu_use}
            )
        self._new[-len(loads)] |= {
            "samples": samples, "samples_total": self.samples_total, "samples_per_s": self.samples_per_s,
            "bytes": size, "bytes_per_s": self.bytes_per_s,
        }  # fmt: skip

    def write(self) -> None:
        """Put all rows into the store. Only new ones are converted, so that a long run's writes stay cheap."""
        self._table = pa.concat_tables([self._table, pa.Table.from_pylist(self._new, schema=TELEMETRY)])
        self._new = []
        self.store.write_table(self.path, self._table)

    def _measure(self, at: float, samples: int, size: int) -> None:
        self._window.append((at, samples, size))
        while len(self._window) > 2 and at - self._window[1][0] >= WINDOW:
            self._window.popleft()
        since, samples_then, size_then = self._window[0]
        if at > since:
            self.samples_per_s = (samples - samples_then) / (at - since)
            self.bytes_per_s = (size - size_then) / (at - since)


def telemetry_files(store: Store) -> list[str]:
    """Paths of all there are, the oldest of a study first."""
    folders = [f"studies/{study}/{FOLDER}" for study in store.list("studies")]
    return [f"{folder}/{name}" for folder in folders for name in store.list(folder) if name.endswith(".parquet")]
