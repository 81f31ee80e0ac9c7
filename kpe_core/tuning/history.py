"""A tuning in the store: what each generation tries, written before it is computed, and the table of what was tried.

::

    tunings/<id>/tuning.json              what is tuned, and how
    tunings/<id>/generations/00000.json   the points of a generation
    tunings/<id>/trials.parquet           one row a shaping and rung; the view `trials` adds what the runs measured

The id is the hash of the plain run, the search space and its seed; not of how many trials there are, so more can follow.
"""

from dataclasses import dataclass

import pyarrow as pa

from kpe_core.identity import digest
from kpe_core.store.schema import TRIALS
from kpe_core.store.store import Store
from kpe_core.study.runs import Run
from kpe_core.study.specs import ShapingSpec
from kpe_core.tuning.points import Point
from kpe_core.tuning.target import Target


@dataclass(frozen=True)
class Entry:
    """One shaping at one rung."""

    origin: str
    """``plain``, ``published`` or ``search``."""
    trial: int | None
    generation: int | None
    rung: int
    n_samples: int
    shaping: ShapingSpec
    run: str
    baseline: str
    promoted: bool


def tuning_id(target: Target, plain: Run) -> str:
    """Of everything that decides which shapings are tried and what becomes of them; ``plain`` has all samples."""
    search = target.spec.model_dump(mode="json", exclude={"run", "space", "trials", "samples"})
    return digest("tuning", target.study, plain.run_id, target.space, target.rungs, search)


class History:
    """One tuning's part of a store."""

    def __init__(self, store: Store, tuning: str) -> None:
        self.store = store
        self.tuning = tuning
        self.folder = f"tunings/{tuning}"

    def begin(self, target: Target, plain: Run) -> None:
        """Write what is tuned, unless it is there."""
        if not self.store.exists(f"{self.folder}/tuning.json"):
            about = {
                "study": target.study, "plain": plain.run_id, "label": target.plain.label, "space": target.space,
                "rungs": target.rungs, "tune": target.spec.model_dump(mode="json"),
            }  # fmt: skip
            self.store.write_json(f"{self.folder}/tuning.json", about)

    def generation(self, number: int) -> list[Point] | None:
        """The points of a generation; None where it has not begun."""
        path = self._generation(number)
        if not self.store.exists(path):
            return None
        return [Point.model_validate(point) for point in self.store.read_json(path)]

    def keep(self, number: int, points: list[Point]) -> None:
        """Write a generation's points."""
        self.store.write_json(self._generation(number), [point.model_dump(mode="json") for point in points])

    def tell(self, target: Target, entries: list[Entry]) -> None:
        """Write the table of trials, whole."""
        last = len(target.rungs) - 1
        rows = [
            {
                "study": target.study, "tuning": self.tuning, "origin": e.origin, "trial": e.trial,
                "generation": e.generation, "rung": e.rung, "n_samples": e.n_samples, "final": e.rung == last,
                "space": target.space, "run": e.run, "baseline": e.baseline, "promoted": e.promoted,
            } | {name: getattr(e.shaping, name) for name in ("alpha0", "beta0", "tau", "launch", "landing", "rate")}
            for e in entries
        ]  # fmt: skip
        self.store.write_table(f"{self.folder}/trials.parquet", pa.Table.from_pylist(rows, schema=TRIALS))

    def _generation(self, number: int) -> str:
        return f"{self.folder}/generations/{number:05d}.json"
