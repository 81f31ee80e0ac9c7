"""What Prefect and Dask cost: two workers against one, the share of a run that is neither sampling nor measuring, and a
thousand shards of a field that costs nothing. Run on a machine that does nothing else."""

import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from kpe_core.stages.manifest import registered
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.load import load_study

BOUND = """
name: bound
title: A study bound by sampling
experiments:
  - name: digits
    data: {name: digits}
    fields: {kind: exact}
    sampling: {n_samples: 40000, nfe: 200, states: {keep: endpoints}}
    measure: {spaces: [{extractor: pixels}], densities: [{estimator: knn}], bootstrap: 200, probe: 0}
"""
TRIVIAL = """
name: trivial
title: A thousand shards of next to nothing
experiments:
  - name: planar
    data: {name: dense_sparse, n_train: 20}
    fields: {kind: exact}
    sampling: {n_samples: 2000, nfe: 2, batch: 2, states: {keep: endpoints}}
    measure: {spaces: [{extractor: pixels}], densities: [], bootstrap: 100, probe: 0}
"""


class Ran:
    """A whole ``kpe run`` of a study, and what became of its time."""

    def __init__(self, folder: Path, study: str, workers: int, *options: str) -> None:
        folder.mkdir()
        (folder / "study.yaml").write_text(study)
        store = folder / "store"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        command = [
            sys.executable,
            "-m",
            "flows.cli",
            "run",
            str(folder / "study.yaml"),
            "--store",
            str(store),
            *options,
        ]
        start = time.monotonic()
        ended = subprocess.run([*command, "--workers", str(workers)], env=clean, capture_output=True, text=True)
        self.seconds = time.monotonic() - start
        assert ended.returncode == 0, ended.stdout + ended.stderr
        self.workers = workers
        self.tasks = task_runs(store / "prefect" / "prefect.db")
        where = Store.open(str(store))
        self.run = registered(where, where.list("runs")[0])
        self.shards = Trajectories(where, self.run.trajectories_id).plan().n_shards

    def busy(self, *kinds: str) -> float:
        """Seconds in tasks of these kinds, all workers together."""
        return sum(stop - start for name, start, stop in self.tasks if name.startswith(kinds))

    def fan(self) -> float:
        """Seconds from the first shard's begin to the last one's end."""
        fanned = [(start, stop) for name, start, stop in self.tasks if name.startswith(("sample ", "measure "))]
        return max(stop for _, stop in fanned) - min(start for start, _ in fanned)

    def overhead(self) -> float:
        """Share of the workers' time that was neither sampling, nor measuring, nor writing tables, checks and report."""
        serial = self.busy("tables ", "check ", "write ", "publish ", "compare ")
        worked = (self.busy("sample ", "measure ") + serial * self.workers) / self.workers
        return 1 - worked / self.seconds


def task_runs(database: Path) -> list[tuple[str, float, float]]:
    """Name, begin and end of every task run in Prefect's own database."""
    import sqlite3

    def seconds(told: Any) -> float:
        return datetime.fromisoformat(told).timestamp()

    with sqlite3.connect(database) as connection:
        rows = connection.execute(
            "SELECT name, start_time, end_time FROM task_run WHERE end_time IS NOT NULL"
        ).fetchall()
    return [(name, seconds(start), seconds(stop)) for name, start, stop in rows]


@pytest.mark.slow
def test_two_workers_and_what_is_not_work(tmp_path: Path) -> None:
    one, two = (Ran(tmp_path / f"{n}", BOUND, n) for n in (1, 2))
    for ran in (one, two):
        print(
            f"\n{ran.workers} workers: {ran.seconds:.0f} s, fan-out {ran.fan():.0f} s, in its tasks "
            f"{ran.busy('sample ', 'measure '):.0f} s, overhead {ran.overhead():.1%} of the run"
        )
    print(
        f"two workers against one: fan-out {one.fan() / two.fan():.2f} x, whole run {one.seconds / two.seconds:.2f} x"
    )
    assert one.fan() / two.fan() > 1.8
    assert one.overhead() < 0.08


@pytest.mark.slow
def test_a_thousand_shards_of_next_to_nothing(tmp_path: Path) -> None:
    ran = Ran(tmp_path / "trivial", TRIVIAL, 2, "--shard-size", "2")
    assert ran.shards == 1000
    each, within = 1000 * ran.fan() / ran.shards, 1000 * ran.busy("sample ", "measure ") / ran.workers / ran.shards
    print(
        f"\n{ran.shards} shards: {ran.seconds:.0f} s, fan-out {ran.fan():.0f} s: {each:.0f} ms each, {within:.0f} in tasks"
    )
    assert len([name for name, *_ in ran.tasks if name.startswith("sample ")]) == 1000


def test_its_studies_are_valid(tmp_path: Path) -> None:
    for text in (BOUND, TRIVIAL):
        (tmp_path / "study.yaml").write_text(text)
        assert load_study(str(tmp_path / "study.yaml")).experiments
