"""The whole flow into an object store on a bad day: one request in twenty fails, loses its answer or is late. Slow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kpe_core.store.store import Store
from tests.faulty_s3 import FAULTS, Faults, faulty
from tests.same import assert_same_numbers

pytestmark = pytest.mark.slow


def kpe_run(study: Path, store: str, **environment: str) -> str:
    """What it printed."""
    command = [sys.executable, "-m", "flows.cli", "run", str(study), "--store", store, "--shard-size", "120"]
    ended = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_same_numbers_as_on_disk_though_requests_fail(
    bucket: str, s3_endpoint: str, tiny_file: Path, tmp_path: Path, prefect_api: str
) -> None:
    kpe_run(tiny_file, str(tmp_path), PREFECT_API_URL=prefect_api)
    faults = Faults(share=0.05)
    with faulty(s3_endpoint, faults) as endpoint:
        said = kpe_run(tiny_file, bucket, PREFECT_API_URL=prefect_api, AWS_ENDPOINT_URL=endpoint)
    assert "not-a-real-key" not in said
    assert_same_numbers(Store.open(str(tmp_path)), Store.open(bucket))
    assert faults.requests > 1000
    assert all(faults.met[fault] > 3 for fault in FAULTS), faults.met
