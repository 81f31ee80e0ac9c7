"""The whole first-look study into an object store, on a good day and on a bad one, against the same on disk."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kpe_core.store.store import Store
from tests.faulty_s3 import Faults, faulty
from tests.same import assert_same_numbers


def kpe_run(store: str, **environment: str) -> float:
    """Seconds."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = [sys.executable, "-m", "flows.cli", "run", "first-look", "--store", store]
    start = time.monotonic()
    ended = subprocess.run(command, env=clean | environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return time.monotonic() - start


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("first-look")
    print(f"\non disk {kpe_run(str(folder)):.0f} s")
    return Store.open(str(folder))


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_same_numbers_as_on_disk(share: float, on_disk: Store, bucket: str, s3_endpoint: str, tmp_path: Path) -> None:
    faults = Faults(share=share)
    with faulty(s3_endpoint, faults) as endpoint:
        seconds = kpe_run(bucket, AWS_ENDPOINT_URL=endpoint, HOME=str(tmp_path))
    compared = assert_same_numbers(on_disk, Store.open(bucket))
    print(
        f"\non S3 {seconds:.0f} s, {faults.requests} requests, {sum(faults.met.values())} of them met a fault: {faults.met}"
    )
    print(f"{compared} arrays and tables, all the same")
