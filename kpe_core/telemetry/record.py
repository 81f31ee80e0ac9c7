"""The last word of a study's flow run on itself, ``studies/<study>/status.json``: what `kpe status` goes by.

Written beside the telemetry and as often, by whoever runs the study; whoever reads it needs neither the study file nor its
data. What changes faster, such as shards, is read from the store itself.
"""

from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

from kpe_core.errors import StoreDamaged
from kpe_core.store.store import Store


@dataclass(frozen=True)
class CellRecord:
    """One run of the study; ``run`` and ``trajectories`` (a folder) are None until what it needs is trained."""

    label: str
    n_samples: int
    run: str | None = None
    trajectories: str | None = None


@dataclass(frozen=True)
class StatusRecord:
    """One flow run. Times are ISO, UTC; ``ended`` is None while it goes on, or was killed."""

    study: str
    started: str
    updated: str
    every: float
    """Seconds until it is written again, at the latest."""
    ended: str | None = None
    samples_per_s: float | None = None
    trainings: int = 0
    """Networks and classifiers not trained yet."""
    workers: int = 0
    memory: int = 0
    executing: int = 0
    queued: int = 0
    gpu_memory: int | None = None
    gpu_use: float | None = None
    ui: str | None = None
    dashboard: str | None = None
    cells: tuple[CellRecord, ...] = field(default=())

    def age(self, now: datetime) -> float:
        """Seconds since it was written."""
        return (now.astimezone(UTC) - datetime.fromisoformat(self.updated)).total_seconds()

    def is_fresh(self, now: datetime) -> bool:
        """Whether its flow run still goes on, as far as times can tell: killed, it would say nothing any more."""
        return self.ended is None and self.age(now) < 3 * self.every + 30

    def written(self, store: Store) -> None:
        """Put it into the store, in the place of the one before."""
        store.write_json(path_of(self.study), asdict(self))


def path_of(study: str) -> str:
    return f"studies/{study}/status.json"


def last_record(store: Store, study: str) -> StatusRecord | None:
    """The study's last flow run; None where none is known, or it was recorded by another version."""
    try:
        told: dict[str, Any] = store.read_json(path_of(study))
        cells = tuple(CellRecord(**cell) for cell in told.pop("cells"))
        known = {f.name for f in fields(StatusRecord)}
        return replace(StatusRecord(**{k: v for k, v in told.items() if k in known}), cells=cells)
    except (StoreDamaged, TypeError, KeyError, AttributeError):
        return None
