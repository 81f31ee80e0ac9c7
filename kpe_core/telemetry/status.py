"""How the studies of a store stand, from the store alone: no study file, no data, nothing that was not written there.

On disk the study's lock tells whether it is being run; where there are no locks, or none that may be opened, the age of its
last record does.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kpe_core.errors import StoreDamaged, UserError
from kpe_core.stages.holding import running_studies
from kpe_core.store.store import Store
from kpe_core.telemetry.record import CellRecord, StatusRecord, last_record

FINISHED, QUARANTINED = "finished", "quarantined"


@dataclass(frozen=True)
class RunStatus:
    """One run of a study. ``shards`` is 0 while its trajectories are not laid out."""

    label: str
    run: str | None
    n_samples: int
    samples: int = 0
    shards_done: int = 0
    shards: int = 0
    measured: int = 0
    """Shards."""
    verdict: str | None = None
    """FINISHED, QUARANTINED, or None: neither yet."""

    def stage(self, is_running: bool) -> str:
        """In a few words."""
        if self.verdict is not None:
            return self.verdict
        if not is_running:
            return f"unfinished: {self.shards_done} of {self.shards} shards sampled" if self.shards else "not begun"
        if self.run is None:
            return "training"
        if self.shards == 0:
            return "waiting"
        if self.shards_done < self.shards:
            return f"sampling: {self.shards_done} of {self.shards} shards"
        if self.measured < self.shards:
            return f"measuring: {self.measured} of {self.shards} shards"
        return "tabulating and checking"


@dataclass(frozen=True)
class StudyStatus:
    """One study, its runs in the study's order; ``record``: of its last flow run on a cluster, as far as known."""

    study: str
    is_running: bool
    record: StatusRecord | None
    runs: tuple[RunStatus, ...]

    @property
    def samples(self) -> int:
        return sum(run.samples for run in self.runs)

    @property
    def samples_total(self) -> int:
        return sum(run.n_samples for run in self.runs)

    @property
    def finished(self) -> int:
        """Runs that SQL sees."""
        return sum(run.verdict == FINISHED for run in self.runs)

    @property
    def quarantined(self) -> int:
        return sum(run.verdict == QUARANTINED for run in self.runs)

    def live(self, now: datetime) -> StatusRecord | None:
        """The record, where it tells of what is going on now."""
        return self.record if self.is_running and self.record is not None and self.record.is_fresh(now) else None

    def seconds_left(self, now: datetime) -> float | None:
        """Of sampling, at the present rate; None where there is none."""
        live, missing = self.live(now), self.samples_total - self.samples
        if live is None or not live.samples_per_s or missing <= 0:
            return None
        return missing / live.samples_per_s

    def state(self) -> str:
        """In a word or two."""
        if self.is_running:
            return "running"
        if self.runs and self.finished == len(self.runs):
            return FINISHED
        if self.quarantined and self.finished + self.quarantined == len(self.runs):
            return f"{self.quarantined} of {len(self.runs)} runs quarantined"
        return "unfinished" if self.record is None or self.record.ended is not None else "broke off"


def status(store: Store, now: datetime, study: str | None = None) -> list[StudyStatus]:
    """Of every study, or of the one that is named; those that are being run come first.

    Raises
    ------
    UserError
        when the store knows no study of that name.
    """
    store.fs.invalidate_cache()  # others write there meanwhile
    held = _held(store)
    names = sorted({*store.list("studies"), *(held or ())})
    if study is not None and study not in names:
        raise UserError(f"{store.url} holds no study {study!r}; it has {', '.join(names) or 'none'}")
    found = [_status(store, name, held, now) for name in ([study] if study is not None else names)]
    return sorted(found, key=lambda each: not each.is_running)


def _held(store: Store) -> list[str] | None:
    """Studies whose lock is held; None where locks cannot tell."""
    if not store.is_local:
        return None
    try:
        return running_studies(store)
    except OSError:  # somebody else's store, which this user may only read
        return None


def _status(store: Store, study: str, held: list[str] | None, now: datetime) -> StudyStatus:
    record = last_record(store, study)
    is_running = study in held if held is not None else record is not None and record.is_fresh(now)
    path = f"studies/{study}/runs.json"
    rows = store.read_json(path) if store.exists(path) else []
    # Of a study that came to its end with every run, its rows are the last word: `kpe rm` and later runs change them.
    unfinished = record is not None and (record.ended is None or any(cell.run is None for cell in record.cells))
    known = record.cells if record is not None and (is_running or unfinished or not rows) else _cells(store, rows)
    return StudyStatus(study, is_running, record, tuple(_run(store, cell) for cell in known))


def _cells(store: Store, rows: list[dict[str, Any]]) -> tuple[CellRecord, ...]:
    found = []
    for row in rows:
        try:
            n = int(store.read_json(f"runs/{row['run']}/run.json")["n_samples"])
        except (StoreDamaged, KeyError, TypeError, ValueError):
            n = 0
        found.append(CellRecord(row["label"], n, row["run"]))
    return tuple(found)


def _run(store: Store, cell: CellRecord) -> RunStatus:
    run = f"runs/{cell.run}"
    if cell.run is None:
        return RunStatus(cell.label, None, cell.n_samples)
    if store.exists(f"{run}/manifest.json"):
        return RunStatus(cell.label, cell.run, cell.n_samples, cell.n_samples, verdict=FINISHED)
    verdict = QUARANTINED if store.exists(f"{run}/quarantine.json") else None
    folder = cell.trajectories
    if folder is None or not store.exists(f"{folder}/plan.json"):
        # Only a run that was sampled can have been judged.
        return RunStatus(cell.label, cell.run, cell.n_samples, cell.n_samples if verdict else 0, verdict=verdict)
    size = int(store.read_json(f"{folder}/plan.json")["shard_size"])
    done = [int(n.removesuffix(".json")) for n in store.list(f"{folder}/shards") if n.endswith(".json")]
    samples = sum(min(cell.n_samples, (shard + 1) * size) - shard * size for shard in done)
    measured = len([n for n in store.list(f"{run}/measures") if n.endswith(".parquet")])
    shards = -(-cell.n_samples // size)
    return RunStatus(cell.label, cell.run, cell.n_samples, samples, len(done), shards, measured, verdict)
