"""How much of a study is in the store, asked again and again while it is computed."""

from dataclasses import dataclass

import numpy as np

from kpe_core.stages.requirements import Training, missing_trainings
from kpe_core.stages.resolve import resolve
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.runs import Run, cells
from kpe_core.study.specs import Study
from kpe_core.telemetry.record import CellRecord


@dataclass(frozen=True)
class Count:
    """What is there now; ``size``: bytes of the trajectories, uncompressed, each counted once."""

    samples: int = 0
    size: int = 0
    trainings: int = 0
    cells: tuple[CellRecord, ...] = ()


class Counting:
    """Remembers what can no longer change, so that the next count asks only for what is still missing."""

    def __init__(self, store: Store, study: Study) -> None:
        self.store = store
        self._cells = list(cells(study))
        self.samples_total = sum(cell.n_samples for cell in self._cells)
        self._runs: dict[str, Run] = {}
        self._rows: dict[str, int] = {}
        """Samples of whole trajectories, by id."""
        self._row_bytes: dict[str, int] = {}
        self._trainings: list[Training] = missing_trainings(store, study)

    def take(self) -> Count:
        """Count again."""
        self._trainings = [t for t in self._trainings if not t.is_done(self.store)]
        found, samples, rows = [], 0, dict[str, int]()
        for cell in self._cells:
            run = self._runs.get(cell.label) or resolve(self.store, cell)
            if run is None:
                found.append(CellRecord(cell.label, cell.n_samples))
                continue
            self._runs[cell.label] = run
            if (name := run.trajectories_id) not in rows:
                rows[name] = self._sampled(name)
            samples += rows[name]
            found.append(CellRecord(cell.label, cell.n_samples, run.run_id, f"trajectories/{name}"))
        size = sum(n * self._row_bytes.get(name, 0) for name, n in rows.items())
        return Count(samples, size, len(self._trainings), tuple(found))

    def _sampled(self, name: str) -> int:
        if name in self._rows:
            return self._rows[name]
        trajectories = Trajectories(self.store, name)
        if name not in self._row_bytes:
            if not trajectories.exists():
                return 0
            self._row_bytes[name] = _row_bytes(trajectories)
        plan = trajectories.plan()
        rows = sum(stop - start for start, stop in map(plan.rows, trajectories.committed()))
        if rows == plan.n_samples:
            self._rows[name] = rows
        return rows


def _row_bytes(trajectories: Trajectories) -> int:
    """Of one sample in every array that the sampler writes."""
    size = 0
    for name, array in trajectories.group().arrays():
        if name not in ("sample", "label") and array.metadata.dimension_names[0] == "sample":  # type: ignore[index, union-attr]
            size += int(np.prod(array.shape[1:])) * array.dtype.itemsize
    return size
