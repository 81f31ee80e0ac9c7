"""What ``kpe plan`` predicts from one worker's run, against the real runs of one and of two workers.

A few minutes. Two workers need two cores that do nothing else, which the last column helps to judge.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from kpe_core.planning.calibration import calibrated
from kpe_core.planning.forecast import forecasts
from kpe_core.planning.measured import FlowRun, flow_runs
from kpe_core.planning.work import Site
from kpe_core.stages.plan import plan
from kpe_core.store.store import Store
from kpe_core.study.load import load_study
from tests.benchmarks.bench import heading, row

BOUND = """
name: sampling-bound
title: A study whose time is sampling
experiments:
  - name: bound
    data: {name: digits}
    fields: {kind: exact}
    sampling: {n_samples: 4000, nfe: 200, batch: 125, states: {keep: endpoints}}
    measure: {spaces: [{extractor: pixels}], densities: [{estimator: knn}], bootstrap: 200, probe: 0}
"""
SHARD_SIZE = 125
WITHIN = 0.15


@dataclass(frozen=True)
class _Real:
    wall: float
    store: Store
    flow: FlowRun
    load: float
    """Of the machine, at its end: processes that want a core."""


def test_one_and_two_workers_are_predicted(tmp_path: Path) -> None:
    file = tmp_path / "bound.yaml"
    file.write_text(BOUND)
    one, two = (_run(file, tmp_path / f"store-{n}", n) for n in (1, 2))
    calibration = calibrated(plan(load_study(str(file)), SHARD_SIZE), one.store, SHARD_SIZE, Site(1))
    startup = one.wall - _watched(one) + one.flow.first
    site = replace(calibration.site, startup=startup)
    predicted = forecasts(calibration.work, [replace(site, workers=n) for n in (1, 2)])
    heading("kpe plan, calibrated from one worker's run", "measured", "predicted")
    for forecast, real in zip(predicted, (one, two), strict=True):
        wall = forecast.outcome.wall
        row(
            f"{forecast.site.workers} workers", f"{real.wall:.0f} s", f"{wall:.0f} s",
            f"{wall / real.wall - 1:+.0%}; load {real.load:.1f} on {os.cpu_count()} cores; {forecast.bottleneck}; "
            f"a shard {_shard_seconds(real):.2f} s",
        )  # fmt: skip
    print("\n" + "\n".join(calibration.told))
    for forecast, real in zip(predicted, (one, two), strict=True):
        assert abs(forecast.outcome.wall / real.wall - 1) < WITHIN


def _run(file: Path, folder: Path, workers: int) -> _Real:
    started = time.monotonic()
    command = ["run", str(file), "--store", str(folder), "--shard-size", str(SHARD_SIZE), "--workers", str(workers)]
    subprocess.run([sys.executable, "-m", "flows.cli", *command], check=True, capture_output=True)
    wall, store = time.monotonic() - started, Store(str(folder))
    [flow] = flow_runs(store)
    return _Real(wall, store, flow, os.getloadavg()[1])


def _watched(real: _Real) -> float:
    """Seconds of the flow run that telemetry saw."""
    [name] = real.store.list("studies/sampling-bound/telemetry")
    table = real.store.read_table(f"studies/sampling-bound/telemetry/{name}")
    return float(max(table["elapsed"].to_pylist()))


def _shard_seconds(real: _Real) -> float:
    [name] = real.store.list("trajectories")
    folder = f"trajectories/{name}/shards"
    seconds = [real.store.read_json(f"{folder}/{shard}")["seconds"] for shard in real.store.list(folder)]
    return float(sum(seconds) / len(seconds))
