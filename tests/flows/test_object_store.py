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


def test_same_numbers_as_on_disk_though_requests_fail(
    bucket: str, s3_endpoint: str, tiny_file: Path, tiny_store: Store, prefect_api: str
) -> None:
    command = [sys.executable, "-m", "flows.cli", "run", str(tiny_file), "--store", bucket, "--shard-size", "120"]
    faults = Faults(share=0.05)
    with faulty(s3_endpoint, faults) as endpoint:
        environment = os.environ | {"PREFECT_API_URL": prefect_api, "AWS_ENDPOINT_URL": endpoint}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "not-a-real-key" not in ended.stdout + ended.stderr
    assert_same_numbers(tiny_store, Store.open(bucket))
    assert faults.requests > 1000
    assert all(faults.met[fault] > 3 for fault in FAULTS), faults.met
