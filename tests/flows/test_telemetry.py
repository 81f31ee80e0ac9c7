"""A real study through the flow on real workers, observed: its rows, its report, what `kpe status` says meanwhile."""

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.cluster import Cluster, cluster
from flows.commands.status import headline
from flows.performance import alone
from flows.profiles import load_profile
from flows.telemetry import telemetry
from kpe_core.catalog.catalog import Catalog
from kpe_core.store.store import Store
from kpe_core.study.load import load_study
from kpe_core.study.specs import Study
from kpe_core.telemetry.status import StudyStatus, status
from kpe_core.telemetry.table import telemetry_files

SEEN = """
name: seen
experiments:
  - name: planar
    data: {name: dense_sparse, n_train: 200}
    fields: {kind: exact}
    sampling: {n_samples: 400, nfe: 20, batch: 20}
    measure: {spaces: [{extractor: pixels}], densities: [], bootstrap: 100, probe: 0}
"""
SECRET = "not-a-real-secret"


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "seen.yaml"
    path.write_text(SEEN)
    return path


@pytest.fixture
def study(study_file: Path) -> Study:
    return load_study(str(study_file))


@pytest.fixture
def api(prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setenv("PREFECT_API_URL", prefect_api)  # for the workers, which are processes of their own
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield prefect_api


def watched(store: Store, work: Callable[[], None]) -> list[StudyStatus]:
    """What a reader with a store object of its own is told while ``work`` goes on, once a second."""
    told: list[StudyStatus] = []
    done = threading.Event()

    def look() -> None:
        while not done.wait(1):
            told.extend(status(Store.open(store.url), datetime.now(UTC)))

    reader = threading.Thread(target=look)
    reader.start()
    try:
        work()
    finally:
        done.set()
        reader.join()
    return told


@pytest.mark.slow
@pytest.mark.usefixtures("api")
def test_observed_through_the_flow_on_s3(study: Study, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.launch import launch

    monkeypatch.setenv("KPE_TEST_SECRET", SECRET)
    store = Store.create_or_open(bucket)

    def run() -> None:
        with cluster(load_profile("local", 2)) as workers:
            assert launch(study, store, workers, 20) is None

    during = watched(store, run)
    (path,) = telemetry_files(store)
    whole = [row for row in store.read_table(path).to_pylist() if row["worker"] is None]
    assert len(whole) > 2
    assert all(row["memory"] > 0 for row in whole[1:])
    assert any(row["executing"] > 0 for row in whole)
    assert any(row["queued"] > 0 for row in whole)
    for name in ("elapsed", "samples", "bytes"):
        values = [row[name] for row in whole]
        assert values == sorted(values), name
    assert (whole[-1]["samples"], whole[-1]["samples_total"]) == (400, 400)
    assert whole[-1]["bytes"] > 400 * 4 * 2 * 21  # of the states alone
    with Catalog(store) as catalog:
        (row,) = catalog.ask(
            "SELECT count(DISTINCT worker) AS workers, max(memory) AS most FROM telemetry WHERE worker IS NOT NULL"
        ).to_pylist()
    assert row["workers"] == 2
    assert row["most"] > 10**7

    live = [each for each in during if each.is_running]
    assert live
    assert live[0].record is not None
    assert live[0].record.dashboard is not None
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/status", live[0].record.dashboard)
    assert live[0].record.ui is not None
    (after,) = status(store, datetime.now(UTC))
    assert re.match(r"seen: finished \(ended .* UTC\); 1 of 1 runs finished$", next(headline(after, datetime.now(UTC))))

    page = store.read("studies/seen/performance.html").decode()
    assert "number of tasks" in page
    assert "Content-Security-Policy" in page
    assert re.findall(r"<script[^>]+src=", page) == []
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert re.findall(r"""(?:src|href)=["'](?!data:)""", markup) == []
    for secret in (SECRET, "not-a-real-key"):
        assert secret not in page
        assert secret.encode() not in store.read("studies/seen/status.json") + store.read(path)


@pytest.mark.slow
def test_a_killed_driver_leaves_what_it_had_written(study_file: Path, tmp_path: Path, prefect_api: str) -> None:
    folder = tmp_path / "store"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")} | {
        "PREFECT_API_URL": prefect_api
    }

    def kpe(*args: str) -> Any:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *args, "--store", str(folder)], text=True, env=environment,
            start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def said(*args: str) -> str:
        out, err = kpe("status", *args).communicate(timeout=60)
        assert not err
        return str(out)

    driver = kpe("run", str(study_file), "--shard-size", "20", "--set", "experiments.planar.sampling.n_samples=4000")
    deadline = time.monotonic() + 120
    try:
        while not (list(folder.glob("trajectories/*/shards/*.json")) and list(folder.glob("studies/seen/status.json"))):
            assert driver.poll() is None, driver.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert re.search(
            r"seen: running since .*\n .* of 4,000 samples .*\n .* workers with .*\n .*Dask dashboard", said()
        )
        watching = kpe("status", "seen", "--watch", "--every", "1")
        time.sleep(5)
        watching.send_signal(signal.SIGINT)
        out, _ = watching.communicate(timeout=30)
        assert watching.returncode == 0
        assert out.count("every 1 s; Ctrl-C ends it") >= 2
        assert re.search(r"sampling: \d+ of 200 shards", out)
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.communicate()
    time.sleep(1)
    assert re.match(r"seen: broke off \(last heard of .*\); 0 of 1 runs finished, .* samples; `kpe run`", said("seen"))
    with Catalog(Store.open(str(folder))) as catalog:
        rows = catalog.ask("SELECT samples_total FROM telemetry WHERE worker IS NULL").to_pylist()
    assert rows
    assert rows[0]["samples_total"] == 4000


def test_trouble_is_logged_once_and_fails_nothing(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store.create_or_open(str(tmp_path / "store"))

    def full(store: Store, path: str, table: object) -> None:
        raise OSError(28, "No space left on device")

    def sync(*args: object, **more: object) -> None:
        raise TimeoutError("no answer")

    monkeypatch.setattr(Store, "write_table", full)
    monkeypatch.setattr("flows.telemetry.SPARING", 0.0)
    nowhere: Any = SimpleNamespace(sync=sync)
    with (
        caplog.at_level(logging.WARNING),
        telemetry(store, study, Cluster("tcp://127.0.0.1:9", "", 1), nowhere, None, every=0.05),
    ):
        time.sleep(3)
    told = [record.getMessage() for record in caplog.records if "telemetry" in record.getMessage()]
    assert len(told) == 2, told
    assert "TimeoutError: no answer; the run goes on" in told[0]
    assert "No space left on device; the run goes on" in told[1]


def test_a_page_without_dasks_icon_is_kept_alone_too() -> None:
    assert "default-src 'none'" in alone("<html><head><title>x</title></head></html>")
