"""`kpe tune` through the real flow: its trials are ordinary runs, and leave the tuned study as it is."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from kpe_core.catalog.analyses import analysis
from kpe_core.catalog.catalog import Catalog
from kpe_core.store.store import Store
from kpe_core.study.load import load_study
from kpe_core.study.specs import Study
from kpe_core.tuning.target import target
from kpe_core.tuning.tuner import Tuned, Tuner

SHORT = """
name: short
title: A plain run to be tuned
experiments:
  - name: planar
    data: {name: dense_sparse, n_train: 60}
    fields: {kind: exact}
    sampling: {n_samples: 80, nfe: 10, batch: 20}
    measure: {spaces: [{extractor: pixels}], densities: [], bootstrap: 100, probe: 0}
tune: {trials: 8, generation: 4, rungs: 2}
"""
OWN = ("runs.json", "findings.json", "report.html")


@pytest.fixture(scope="module")
def short_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("short") / "short.yaml"
    path.write_text(SHORT)
    return path


def by_flow(study: Study, store: Store) -> Tuned:
    """The whole tuning in this process, as the command does it."""
    from flows.launch import launch

    def run(rung: Study, published: bool = False) -> None:
        assert launch(rung, store, None, 40, published=published) is None

    found = Tuner(store, target(study), run).search()
    run(found.final, published=True)
    return found


@dataclass(frozen=True)
class Alone:
    """A study that was run, and then tuned with nothing in its way."""

    study: Study
    store: Store
    before: dict[str, int]
    """Dates of what there was before it was tuned."""
    own: dict[str, bytes]
    """And what the study itself had made."""
    found: Tuned


@pytest.fixture(scope="module")
def alone(short_file: Path, tmp_path_factory: pytest.TempPathFactory, prefect_api: str) -> Alone:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.launch import launch

    study, store = load_study(str(short_file)), Store.create_or_open(str(tmp_path_factory.mktemp("alone")))
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        assert launch(study, store, None, 40) is None
        own = {name: store.read(f"studies/short/{name}") for name in OWN}
        return Alone(study, store, dates(store), own, by_flow(study, store))


def dates(store: Store) -> dict[str, int]:
    folders = ("trajectories", "runs", "comparisons", "tunings")
    files = [p for d in folders for p in Path(store.root, d).rglob("*") if p.is_file()]
    return {str(p): p.stat().st_mtime_ns for p in files if p.name != "trials.parquet"}


def trials(store: Store) -> pd.DataFrame:
    with Catalog(store) as catalog:
        return catalog.query("FROM trials ORDER BY origin, trial, rung, alpha0, beta0").to_pandas()


@pytest.mark.usefixtures("api")
def test_trials_are_runs_beside_the_study_which_shares_its_plain_one(alone: Alone) -> None:
    store = alone.store
    after = dates(store)
    assert {path: after[path] for path in alone.before} == alone.before, "the plain run is the study's own"
    assert {name: store.read(f"studies/short/{name}") for name in OWN} == alone.own

    rows = trials(store)
    last = rows[rows.final]
    assert {row["run"] for row in store.read_json("studies/short-tune/runs.json")} == set(last.run)
    assert store.read_json("studies/short/runs.json")[0]["run"] in set(last.run)
    assert "The front of quality and memorization" in store.read("studies/short-tune/report.html").decode()
    with Catalog(store) as catalog:
        assert analysis("tuning_front").run(catalog, "short").num_rows == 0
        assert set(
            catalog.query("SELECT DISTINCT success FROM checks WHERE severity = 'error'")["success"].to_pylist()
        ) == {True}

    by_flow(alone.study, store)
    assert dates(store) == after
    pd.testing.assert_frame_equal(trials(store), rows)
    assert alone.found.trials == 8


@pytest.mark.slow
def test_killed_and_run_again_by_the_command(alone: Alone, short_file: Path, tmp_path: Path, prefect_api: str) -> None:
    """kill -9 of driver and workers in the middle of a generation; the same command ends as one that was left alone."""

    def kpe() -> subprocess.Popen[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "tune", str(short_file), "--store", str(tmp_path), "--workers", "1"],
            text=True, env=environment | {"PREFECT_API_URL": prefect_api}, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    process = kpe()
    deadline = time.monotonic() + 200
    while len(list(tmp_path.glob("runs/*/manifest.json"))) < 9:  # four at the last rung, five in the first generation
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    time.sleep(1)
    kept = {p: p.stat().st_mtime_ns for p in tmp_path.glob("trajectories/*/shards/*.json")}
    again = kpe()
    out, err = again.communicate(timeout=300)
    assert again.returncode == 0, f"{out}\n{err}"
    assert "On the front of F_mem and the Fréchet distance in data (80 samples a run" in out
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    pd.testing.assert_frame_equal(trials(Store.open(str(tmp_path))), trials(alone.store))
