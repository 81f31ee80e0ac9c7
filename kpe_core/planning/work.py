"""What there is to do: a study as tasks with their times and bytes, before anybody says who does them."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class RunWork:
    """One run's samples. Seconds are of one worker at its measured speed, bytes are what goes through the store."""

    label: str
    samples: int
    batch: int
    """Shards hold whole batches."""
    shard_size: int
    sampling: float
    """Seconds a sample."""
    measuring: float
    """Seconds a sample."""
    written: float
    """Bytes a sample, by sampling."""
    read: float = 0.0
    """Bytes a sample, by measuring."""
    tabulating: float = 0.0
    """Seconds of the run's tables."""
    after: int | None = None
    """The training it waits for, as an index into ``Work.trainings``."""

    @property
    def shards(self) -> int:
        return math.ceil(self.samples / self.shard_size)

    def rows(self, shard: int) -> int:
        """Samples of that shard; the last one has what is left."""
        return min(self.shard_size, self.samples - shard * self.shard_size)


@dataclass(frozen=True)
class Work:
    """A study. ``serial`` stages (checks, comparisons, report) follow when all runs have their tables; seconds."""

    runs: tuple[RunWork, ...]
    trainings: tuple[float, ...] = ()
    """Seconds of each network, on one worker."""
    serial: tuple[tuple[str, float], ...] = ()
    spread: tuple[float, ...] = (1.0,)
    """Times of single shards, of their mean: what makes stragglers. Taken in turn."""

    @property
    def tasks(self) -> int:
        return len(self.trainings) + sum(2 * run.shards + 1 for run in self.runs)

    @property
    def bytes(self) -> float:
        return sum(run.samples * (run.written + run.read) for run in self.runs)

    @property
    def sampling_seconds(self) -> float:
        return sum(run.samples * run.sampling for run in self.runs)

    @property
    def measuring_seconds(self) -> float:
        return sum(run.samples * run.measuring for run in self.runs)

    def with_shard_size(self, wanted: int) -> "Work":
        """The same work in shards of about ``wanted`` samples, whole batches each."""
        sized = (replace(r, shard_size=r.batch * max(1, round(wanted / r.batch))) for r in self.runs)
        return replace(self, runs=tuple(sized))


@dataclass(frozen=True)
class Site:
    """Who does it."""

    workers: int
    gpus: int = 0
    """Workers that only sample and train; the others then only measure. 0: all do everything."""
    speed: float = 1.0
    """Times faster than measured that sampling and training are."""
    bandwidth: float = math.inf
    """Bytes per second that the store takes and gives, of all workers together."""
    startup: float = 0.0
    """Seconds before the first task is submitted: server, workers, imports."""
    warmup: float = 0.0
    """Seconds of every worker before its first task: imports, data."""
    submission: float = 0.0
    """Seconds of the driver and its server a task, one task after the other."""
    overhead: float = 0.0
    """Seconds of the worker a task, beside the work."""

    def __post_init__(self) -> None:
        """Raises ValueError where there can be no such site."""
        seconds = (self.startup, self.warmup, self.submission, self.overhead)
        if self.workers < 1 or self.gpus < 0 or not 0 < self.speed < math.inf or not self.bandwidth > 0:
            raise ValueError(f"no such site: {self}")
        if not all(0 <= s < math.inf for s in seconds):
            raise ValueError(f"no such site: {self}")
