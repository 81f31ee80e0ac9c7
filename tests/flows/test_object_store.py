"""The whole flow into an object store on a bad day: one request in twenty fails, loses its answer or is late. Slow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kpe_core.store.store import Store
from kpe_core.study.load import load_study
from tests.conftest import run_serially
from tests.faulty_s3 import FAULTS, Faults, faulty
from tests.same import assert_same_numbers

pytestmark = pytest.mark.slow

STUDY = """
name: stored
title: Into a bucket
experiments:
  - name: planar
    data: {name: dense_sparse, n_train: 100}
    fields: {kind: exact}
    sampling: {n_samples: 120, nfe: 10, batch: 20, states: {keep: every, every: 5}}
  - name: learnt
    data: {name: digits, n_train: 64}
    fields: {kind: mlp, width: 16, depth: 1, steps: 200, batch: 16}
    sampling: {n_samples: 60, nfe: 10, batch: 20, shapings: [{}, {beta0: 0.02}]}
    measure: {bootstrap: 100}
"""


def test_same_numbers_as_on_disk_though_requests_fail(
    bucket: str, s3_endpoint: str, tmp_path: Path, prefect_api: str
) -> None:
    file, faults = tmp_path / "stored.yaml", Faults(share=0.05)
    file.write_text(STUDY)
    on_disk = Store.create_or_open(str(tmp_path / "store"))
    run_serially(load_study(str(file)), on_disk)
    command = [sys.executable, "-m", "flows.cli", "run", str(file), "--store", bucket, "--shard-size", "60"]
    with faulty(s3_endpoint, faults) as endpoint:
        environment = os.environ | {"PREFECT_API_URL": prefect_api, "AWS_ENDPOINT_URL": endpoint}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "not-a-real-key" not in ended.stdout + ended.stderr
    assert_same_numbers(on_disk, Store.open(bucket), checked=False)
    assert faults.requests > 1000
    assert all(faults.met[fault] > 3 for fault in FAULTS), faults.met
