"""What a store tells of the time that its samples took: shards' markers, measurements, the telemetry of flow runs."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kpe_core.errors import StoreDamaged, UserError
from kpe_core.identity import digest
from kpe_core.stages.manifest import registered
from kpe_core.stages.measure import measuring_seconds
from kpe_core.store.store import Store
from kpe_core.study.runs import Cell
from kpe_core.telemetry.record import StatusRecord, last_record
from kpe_core.telemetry.table import FOLDER

MOST_SHARDS = 200
"""Read of one run: more tell nothing new."""
LEAST_TASKS = 20
"""Seen to be submitted, for a rate of it."""
_FIELD = ("data", "field", "precision", "guidance")
_MEASURED = ("data", "measure", "batch")
_COURSE = (*_FIELD, "solver", "tolerance", "nfe", "batch", "states", "shaping")


@dataclass(frozen=True)
class Rate:
    """Seconds a sample, and what tells so."""

    seconds: float
    shards: int
    runs: int
    source: str
    """Which shards they are: the same for the same."""
    relative: tuple[float, ...] = (1.0,)
    """Single shards' times a sample, of their mean."""


@dataclass
class _Shards:
    seconds: float = 0.0
    samples: int = 0
    evaluations: int = 0
    shards: int = 0
    runs: set[str] = field(default_factory=set)
    times: list[float] = field(default_factory=list)

    def rate(self, seconds: float, source: str) -> Rate:
        mean = sum(self.times) / len(self.times)
        relative = tuple(t / mean for t in self.times) if mean > 0 else (1.0,)
        return Rate(seconds, self.shards, len(self.runs), source, relative)


class Measured:
    """Times of a store's shards by kind of run, on one kind of device."""

    def __init__(self, store: Store, on_gpu: bool = False) -> None:
        self.store, self.on_gpu = store, on_gpu
        self.devices: set[str] = set()
        self._courses: dict[str, _Shards] = defaultdict(_Shards)
        self._fields: dict[str, _Shards] = defaultdict(_Shards)
        self._measures: dict[str, _Shards] = defaultdict(_Shards)
        seen: set[str] = set()
        for run_id in store.list("runs"):
            try:
                run = registered(store, run_id)
            except (StoreDamaged, UserError):
                continue
            self._read_measures(run_id, run.model_dump(mode="json"))
            if run.trajectories_id not in seen:
                seen.add(run.trajectories_id)
                self._read_shards(run.trajectories_id, run.model_dump(mode="json"))

    def sampling(self, cell: Cell) -> Rate | None:
        """Seconds a sample: of runs that differ in number and noise alone, else by evaluations of the same field."""
        run = cell.model_dump(mode="json")
        if (found := self._courses.get(key := _key(run, _COURSE))) is not None:
            return found.rate(found.seconds / found.samples, key)
        found = self._fields.get(key := _key(run, _FIELD))
        if found is None or not found.evaluations:
            return None
        return found.rate(found.seconds / found.evaluations * cell.nfe, key)

    def measuring(self, cell: Cell) -> Rate | None:
        """Seconds a sample, of runs on the same data that are measured the same way."""
        found = self._measures.get(key := _key(cell.model_dump(mode="json"), _MEASURED))
        return None if found is None else found.rate(found.seconds / found.samples, key)

    def _read_shards(self, name: str, run: dict[str, Any]) -> None:
        folder = f"trajectories/{name}"
        try:
            markers = [
                self.store.read_json(f"{folder}/shards/{shard}")
                for shard in self.store.list(f"{folder}/shards")[:MOST_SHARDS]
                if shard.endswith(".json")
            ]
        except StoreDamaged:
            return
        for marker in markers:
            if (marker.get("device", "cpu") == "cpu") == self.on_gpu or not marker.get("seconds"):
                continue
            self.devices.add(marker.get("device", "cpu"))
            rows = marker["rows"][1] - marker["rows"][0]
            for into in (self._courses[_key(run, _COURSE)], self._fields[_key(run, _FIELD)]):
                into.seconds += marker["seconds"]
                into.samples += rows
                into.evaluations += marker.get("evaluations", 0)
                into.shards += 1
                into.runs.add(name)
                into.times.append(marker["seconds"] / rows)

    def _read_measures(self, run_id: str, run: dict[str, Any]) -> None:
        for shard in self.store.list(f"runs/{run_id}/measures")[:MOST_SHARDS]:
            told = measuring_seconds(self.store, run_id, shard)
            if told is not None:
                into = self._measures[_key(run, _MEASURED)]
                into.samples += told[0]
                into.seconds += told[1]
                into.shards += 1
                into.runs.add(run_id)
                into.times.append(told[1] / told[0])


def _key(run: dict[str, Any], names: tuple[str, ...]) -> str:
    return digest(*(run.get(name) for name in names))


@dataclass(frozen=True)
class FlowRun:
    """What the telemetry of a study's last flow run tells, where it computed everything and trained nothing."""

    study: str
    first: float
    """Seconds until tasks wait for workers."""
    warmup: float
    """Seconds more until workers begin their first."""
    submission: float | None
    """Seconds a task until it waits too; None where they were submitted too fast to see."""
    overhead: float
    """Seconds a task on its worker, beside what shards say they took."""
    tail: float
    """Seconds from the last shard on."""
    samples: int
    runs: int


def flow_runs(store: Store) -> Iterator[FlowRun]:
    """Of every study whose last flow run can tell."""
    for study in store.list("studies"):
        record = last_record(store, study)
        files = [n for n in store.list(f"studies/{study}/{FOLDER}") if n.endswith(".parquet")]
        if record is not None and record.ended is not None and files:
            found = _flow_run(store, record, store.read_table(f"studies/{study}/{FOLDER}/{files[-1]}").to_pylist())
            if found is not None:
                yield found


def _flow_run(store: Store, record: StatusRecord, rows: list[dict[str, Any]]) -> FlowRun | None:
    looks = [row for row in rows if row["worker"] is None]
    workers = len({row["worker"] for row in rows} - {None})
    waiting = [row for row in looks if row["queued"] > 0 and row["samples"] < row["samples_total"]]
    whole = looks and looks[0]["samples"] == 0 and looks[-1]["samples"] == looks[-1]["samples_total"]
    if not whole or len(waiting) < 3 or workers == 0 or any(cell.run is None for cell in record.cells):
        return None
    seconds, tasks = 0.0, 0
    for cell in record.cells:
        if store.read_json(f"runs/{cell.run}/run.json")["training_step"] is not None:
            return None
        folder = f"{cell.trajectories}/shards"
        for shard in store.list(folder):
            seconds += store.read_json(f"{folder}/{shard}")["seconds"]
            tasks += 1
        for shard in store.list(f"runs/{cell.run}/measures"):
            told = measuring_seconds(store, str(cell.run), shard)
            if told is None:
                return None
            seconds += told[1]
            tasks += 1
    first, ended = waiting[0]["elapsed"], looks[-1]["elapsed"]
    done = next(row["elapsed"] for row in looks if row["samples"] == row["samples_total"])
    last = (waiting[-1]["elapsed"] + done) / 2  # somewhen between two looks
    begun = next(row["elapsed"] for row in looks if row["samples"] > 0)
    warmup = max(0.0, begun - first - _first_shard(store, record))
    spent = workers * (last - first - warmup)
    return FlowRun(
        record.study, first, warmup, _submission(looks), max(0.0, spent - seconds) / tasks, ended - last,
        looks[-1]["samples_total"], len(record.cells),
    )  # fmt: skip


def _submission(looks: list[dict[str, Any]]) -> float | None:
    """By how the queue grows before anything is done; the last look may have come after the last task."""
    growing = [row for row in looks if row["queued"] > 0 and row["samples"] == 0]
    rising = [a for a, b in itertools.pairwise(growing) if b["queued"] > a["queued"]]
    tasks = rising[-1]["queued"] - rising[0]["queued"] if rising else 0
    return (rising[-1]["elapsed"] - rising[0]["elapsed"]) / tasks if tasks >= LEAST_TASKS else None


def _first_shard(store: Store, record: StatusRecord) -> float:
    folder = f"{record.cells[0].trajectories}/shards"
    return float(store.read_json(f"{folder}/{store.list(folder)[0]}")["seconds"])
