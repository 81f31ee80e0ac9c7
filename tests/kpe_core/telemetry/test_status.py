"""How studies stand, told from the store alone, on disk and on S3."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from flows.commands.status import headline
from kpe_core.errors import UserError
from kpe_core.stages.copy import copy_runs
from kpe_core.stages.holding import STUDY
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.runs import Run
from kpe_core.study.specs import Study
from kpe_core.telemetry.counting import Counting
from kpe_core.telemetry.record import StatusRecord, last_record
from kpe_core.telemetry.status import status

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


def record(store: Store, study: Study, age: float = 5, **more: object) -> StatusRecord:
    """As written ``age`` seconds ago by a driver that has counted all there is."""
    told = StatusRecord(
        "tiny", (NOW - timedelta(seconds=90)).isoformat(), (NOW - timedelta(seconds=age)).isoformat(), 30,
        samples_per_s=4.0, workers=2, memory=3_000_000, executing=2, queued=7, ui="http://127.0.0.1:4200",
        cells=Counting(store, study).take().cells,
    )  # fmt: skip
    return replace(told, **more)  # type: ignore[arg-type]


@pytest.fixture
def store(tiny_store: Store, tmp_path: Path) -> Store:
    """A store of the tiny study that may be changed."""
    shutil.copytree(tiny_store.root, tmp_path / "store")
    return Store.open(str(tmp_path / "store"))


def undo(store: Store, run: Run, shard: int) -> None:
    store.remove(f"runs/{run.run_id}/manifest.json")
    store.remove(f"trajectories/{run.trajectories_id}/shards/{shard:05d}.json")


def test_finished_before_there_were_records(tiny_store: Store) -> None:
    (found,) = status(tiny_store, NOW)
    assert (found.state(), found.finished, found.samples, found.samples_total) == ("finished", 3, 480, 480)
    assert list(headline(found, NOW)) == ["tiny: finished; 3 of 3 runs finished"]
    with pytest.raises(UserError, match="holds no study 'other'; it has tiny"):
        status(tiny_store, NOW, "other")


def test_running_by_its_lock_then_broken_off(store: Store, tiny: Study, tiny_runs: list[Run]) -> None:
    undo(store, tiny_runs[2], 1)
    store.remove(f"runs/{tiny_runs[1].run_id}/manifest.json")
    store.write_json(f"runs/{tiny_runs[1].run_id}/quarantine.json", {})
    told = record(store, tiny)
    told.written(store)
    with store.lock(f"{STUDY}tiny", wait=False):
        (found,) = status(store, NOW)
    assert [run.stage(True) for run in found.runs] == ["finished", "quarantined", "sampling: 1 of 2 shards"]
    lines = list(headline(found, NOW))
    assert lines[0] == "tiny: running since 2026-02-03 04:03:36 UTC (90 s); 1 of 3 runs finished"
    assert lines[1] == "  420 of 480 samples (88 %), 4 samples/s, about 15 s of sampling left"
    assert lines[2] == "  2 workers with 3.0 MB of memory; 2 tasks executing, 7 queued (told 5 s ago)"
    assert lines[3] == "  Prefect UI http://127.0.0.1:4200"

    (found,) = status(store, NOW)
    assert found.state() == "broke off"
    assert "last heard of 2026-02-03 04:05:01 UTC" in next(headline(found, NOW))
    replace(told, ended=NOW.isoformat()).written(store)
    assert status(store, NOW)[0].state() == "unfinished"


def test_a_lock_without_a_word_is_a_run_that_has_just_begun(store: Store) -> None:
    with store.lock(f"{STUDY}fresh", wait=False):
        first, second = status(store, NOW)
    assert list(headline(first, NOW)) == ["fresh: running, without telemetry so far"]
    assert second.study == "tiny"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_of_a_store_that_may_only_be_read(store: Store, tiny: Study) -> None:
    record(store, tiny).written(store)
    with store.lock(f"{STUDY}tiny", wait=False):
        pass
    os.chmod(store.path("locks", f"{STUDY}tiny.lock"), 0o400)
    assert status(store, NOW)[0].is_running


def test_on_s3_by_the_age_of_the_last_word(tiny_store: Store, tiny: Study, tiny_runs: list[Run], bucket: str) -> None:
    there = Store.create_or_open(bucket)
    copy_runs(tiny_store, there, [run.run_id for run in tiny_runs])
    assert status(there, NOW)[0].state() == "finished"
    undo(there, tiny_runs[0], 0)
    record(there, tiny).written(there)
    (found,) = status(Store.open(bucket), NOW)
    assert found.is_running
    assert found.runs[0].stage(True) == "sampling: 3 of 4 shards"
    assert found.seconds_left(NOW) == pytest.approx(60 / 4.0)
    later = NOW + timedelta(minutes=5)
    assert status(there, later)[0].state() == "broke off"
    there.write_json("studies/tiny/status.json", {"study": "tiny"})  # another version's
    assert last_record(there, "tiny") is None
    assert status(there, NOW)[0].state() == "unfinished"


def test_a_copy_is_not_being_run(store: Store, tiny: Study, tiny_runs: list[Run], tmp_path: Path) -> None:
    record(store, tiny).written(store)
    there = Store.create_or_open(str(tmp_path / "there"))
    copy_runs(store, there, [run.run_id for run in tiny_runs])
    assert there.exists("studies/tiny/runs.json")
    assert last_record(there, "tiny") is None


def test_bytes_are_those_of_the_arrays(tiny_store: Store, tiny: Study, tiny_runs: list[Run]) -> None:
    count = Counting(tiny_store, tiny).take()
    size = 0
    for run in tiny_runs:
        for name, array in Trajectories(tiny_store, run.trajectories_id).group().arrays():
            if name in ("sample", "label") or len(array.shape) == 0 or array.shape[0] != run.n_samples:
                continue
            size += np.asarray(array[:]).nbytes
    assert (count.samples, count.size, count.trainings) == (480, size, 0)
    assert [cell.run for cell in count.cells] == [run.run_id for run in tiny_runs]


def test_neither_torch_nor_prefect_is_needed(tiny_store: Store) -> None:
    code = (
        "import sys, flows.cli\n"
        f"sys.argv = ['kpe', 'status', '--store', {tiny_store.url!r}]\n"
        "try: flows.cli.main()\n"
        "except SystemExit: pass\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'prefect', 'distributed', 'pandas', 'zarr'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines() == ["tiny: finished; 3 of 3 runs finished", "[]"]
