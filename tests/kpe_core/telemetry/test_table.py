"""The rows of a flow run: whole at every write, rates over a minute, GPUs counted once."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kpe_core.catalog.catalog import Catalog
from kpe_core.store.schema import TELEMETRY
from kpe_core.store.store import Store
from kpe_core.telemetry.table import ClusterLoad, TelemetryTable, WorkerLoad

STARTED = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)


def two(own_gpus: bool = False) -> ClusterLoad:
    workers = (WorkerLoad("0", 10, 1, 2, 500, 0.5), WorkerLoad("1", 20, 0, 1, 500, 1.0))
    return ClusterLoad(workers, waiting=4, own_gpus=own_gpus)


def test_a_gpu_that_workers_may_share_counts_once() -> None:
    assert (two().gpu_memory, two().gpu_use) == (500, 1.0)
    assert (two(True).gpu_memory, two(True).gpu_use) == (1000, 0.75)
    assert (ClusterLoad().gpu_memory, ClusterLoad().gpu_use) == (None, None)


def test_rates_are_the_last_minutes(tmp_path: Path) -> None:
    table = TelemetryTable(Store.create_or_open(str(tmp_path)), "s", STARTED, 1000)
    table.add(0, two(), 100, 1000)
    assert table.samples_per_s is None
    for at in range(10, 201, 10):
        table.add(at, two(), 100 + 2 * min(at, 100), 1000 + 20 * min(at, 100))
        if at == 100:
            assert (table.samples_per_s, table.bytes_per_s) == (2.0, 20.0)
        if at == 130:
            assert table.samples_per_s == pytest.approx(1.0)  # nothing came in the last half of it
    assert table.samples_per_s == 0


def test_rewritten_whole_and_asked_in_sql(tmp_path: Path) -> None:
    store = Store.create_or_open(str(tmp_path))
    table = TelemetryTable(store, "s", STARTED, 1000)
    table.add(0.5, two(), 0, 0)
    table.write()
    table.add(5.5, two(), 50, 400)
    table.write()
    table.write()
    assert table.path == "studies/s/telemetry/20260203T040506000789Z.parquet"
    assert store.read_table(table.path).schema.equals(TELEMETRY, check_metadata=True)
    with Catalog(store) as catalog:
        rows = catalog.ask("SELECT * FROM telemetry WHERE worker IS NULL ORDER BY elapsed").to_pylist()
        assert catalog.ask("SELECT count(*) AS n, sum(queued) AS q FROM telemetry WHERE worker = '0'").to_pylist() == [
            {"n": 2, "q": 4}
        ]
    assert rows[1] == {
        "study": "s", "started": STARTED.replace(tzinfo=None), "elapsed": 5.5, "worker": None, "memory": 30, "executing": 1,
        "queued": 7, "gpu_memory": 500, "gpu_use": 1.0, "samples": 50, "samples_total": 1000, "samples_per_s": 10.0,
        "bytes": 400, "bytes_per_s": 80.0,
    }  # fmt: skip
