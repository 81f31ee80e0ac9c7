"""Beside a flow run: what its workers do and how fast samples come, every few seconds, into the store."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flows.cluster import Cluster
from flows.load import load_of
from kpe_core.stages.manifest import now
from kpe_core.store.store import Store
from kpe_core.study.specs import Study
from kpe_core.telemetry.counting import Count, Counting
from kpe_core.telemetry.record import StatusRecord
from kpe_core.telemetry.table import ClusterLoad, TelemetryTable
from kpe_core.urls import without_credentials

if TYPE_CHECKING:
    from distributed import Client

LOOK_SECONDS = 5.0
WRITE_SECONDS = 30.0
"""What a killed driver loses at most."""
SPARING = 100.0
"""Times a look's or a write's own processor time that passes before the next, however large the study: 1 % of one core."""
GIVE_UP_SECONDS = 30.0

log = logging.getLogger(__name__)


@contextlib.contextmanager
def telemetry(
    store: Store, study: Study, workers: Cluster, client: "Client", ui: str | None, every: float = LOOK_SECONDS
) -> Iterator[None]:
    """Watch ``study`` being run for the length of the block; looks ``every`` so many seconds.

    Never fails a run: what goes wrong is logged once, and the rest goes on.
    """
    observer = _Observer(store, study, workers, client, ui, every)
    thread = threading.Thread(target=observer.loop, daemon=True, name="telemetry")
    thread.start()
    try:
        yield
    finally:
        observer.stop.set()
        thread.join(GIVE_UP_SECONDS)


class _Observer:
    def __init__(
        self, store: Store, study: Study, workers: Cluster, client: "Client", ui: str | None, every: float
    ) -> None:
        self.store, self.study, self.workers, self.client = store, study, workers, client
        self.ui, self.every = without_credentials(ui), every
        self.stop = threading.Event()
        self._load, self._count = ClusterLoad(), Count()
        self._gap, self._pause = WRITE_SECONDS, every
        self._said: set[str] = set()

    def loop(self) -> None:
        """Look and write until told to stop; then once more."""
        started, begun = datetime.now(UTC), time.monotonic()
        counting = table = None
        next_write, self._pause = 0.0, 0.0
        while True:
            ending = self.stop.wait(self._pause)
            self._pause = self.every
            if counting is None or table is None:
                with self._forgiven():
                    counting = Counting(self.store, self.study)
                    counting.take()  # the first, which loads data, is dearer than all others
                    table = TelemetryTable(self.store, self.study.name, started, counting.samples_total)
            looking, at = time.thread_time(), time.monotonic() - begun
            if counting is not None and table is not None:
                with self._forgiven():
                    self._look(counting, table, at)
                writing = time.thread_time()
                self._pause = max(self.every, SPARING * (writing - looking))
                if ending or at >= next_write:
                    with self._forgiven():
                        self._write(table, ending)
                        self._gap = max(WRITE_SECONDS, SPARING * (time.thread_time() - writing))
                        next_write = at + self._gap
            if ending:
                return

    def _look(self, counting: Counting, table: TelemetryTable, at: float) -> None:
        self._count = counting.take()
        with self._forgiven():
            self._load = load_of(self.client, bool(self.workers.devices))
        table.add(at, self._load, self._count.samples, self._count.size)

    def _write(self, table: TelemetryTable, ending: bool) -> None:
        table.write()
        moment, load = now(), self._load
        StatusRecord(
            study=self.study.name, started=table.started.isoformat(), updated=moment, ended=moment if ending else None,
            every=self._gap + self._pause, samples_per_s=table.samples_per_s, trainings=self._count.trainings,
            workers=len(load.workers), memory=load.memory, executing=load.executing, queued=load.queued,
            gpu_memory=load.gpu_memory, gpu_use=load.gpu_use,
            ui=self.ui, dashboard=without_credentials(self.workers.dashboard), cells=self._count.cells,
        ).written(self.store)  # fmt: skip

    @contextlib.contextmanager
    def _forgiven(self) -> Iterator[None]:
        """What goes wrong is logged, each sort of it once."""
        try:
            yield
        except Exception as error:
            sort = type(error).__name__
            if sort not in self._said:
                self._said.add(sort)
                log.warning("telemetry of study %s: %s: %s; the run goes on", self.study.name, sort, error)
