"""What a run lets out: it listens on the loopback alone, and none of its keys is in anything it leaves or prints. Slow."""

import io
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
import psutil
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow

STUDY = """
name: small
title: Small
experiments:
  - name: planar
    data: {name: dense_sparse, n_train: 100}
    fields: {kind: exact}
    sampling: {n_samples: 40, nfe: 10, batch: 20}
    measure: {bootstrap: 100, probe: 0}
"""
SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIACANARYCANARY0001",
    "AWS_SECRET_ACCESS_KEY": "canary/secret+access0002",
    "AWS_SESSION_TOKEN": "canary-session-token-0003",
    "PREFECT_API_KEY": "pnu_canary0004",
    "KPE_ANYTHING_ELSE": "canary-environment-0005",
}
LOOPBACK = ("127.0.0.1", "::1")


@dataclass(frozen=True)
class Left:
    """What a run did: where its processes listened (program, address, port), and all it printed and kept, by name."""

    listened: set[tuple[str, str, int]]
    kept: dict[str, bytes]


@pytest.fixture(scope="module")
def left(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Left:
    """A real run with a server and workers of its own, into an object store, watched while it goes on."""
    import boto3

    here = tmp_path_factory.mktemp("let-out")
    (here / "small.yaml").write_text(STUDY)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "AWS_"))} | SECRETS
    environment |= {"AWS_ENDPOINT_URL": s3_endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
    environment |= {"HOME": str(here / "home"), "TMPDIR": str(here), "XDG_CACHE_HOME": str(here / "cache")}
    (here / "home").mkdir()
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1", **keys).create_bucket(Bucket="let-out")
    command = [sys.executable, "-m", "flows.cli", "run", str(here / "small.yaml"), "--store", "s3://let-out/store"]
    with (here / "printed").open("wb") as printed:
        process = subprocess.Popen(
            [*command, "--workers", "1"], env=environment, cwd=here, stdout=printed, stderr=subprocess.STDOUT
        )
        listened = set(_watched(process))
    assert process.returncode == 0, (here / "printed").read_text()
    fs = fsspec.filesystem("s3", key="x", secret="x", endpoint_url=s3_endpoint, use_listings_cache=False)
    kept = {name: fs.cat_file(name) for name in fs.find("let-out")}
    kept |= {str(path): path.read_bytes() for path in here.rglob("*") if path.is_file()}
    return Left(listened, {name: _readable(name, data) for name, data in kept.items()})


def _readable(name: str, data: bytes) -> bytes:
    """Parquet's texts are compressed."""
    return str(pq.read_table(io.BytesIO(data)).to_pydict()).encode() if name.endswith(".parquet") else data


def _watched(process: "subprocess.Popen[bytes]") -> Iterator[tuple[str, str, int]]:
    """Every socket that the process or one of its descendants waits on, until it ends."""
    deadline = time.monotonic() + 300
    while process.poll() is None:
        assert time.monotonic() < deadline
        try:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for member in family:
            try:
                for socket_ in member.net_connections(kind="inet"):
                    waits = socket_.status == psutil.CONN_LISTEN or socket_.type == socket.SOCK_DGRAM
                    if waits and socket_.laddr and not socket_.raddr:
                        yield " ".join(member.cmdline())[-80:], socket_.laddr.ip, socket_.laddr.port
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        time.sleep(0.5)


def test_everything_listens_on_the_loopback_alone(left: Left) -> None:
    assert len({port for _, _, port in left.listened}) >= 4, "the server, scheduler, dashboard and worker"
    assert any("prefect server start" in program for program, _, _ in left.listened)
    assert [found for found in sorted(left.listened) if found[1] not in LOOPBACK] == []


def test_no_secret_is_in_anything_that_is_left(left: Left) -> None:
    names = "\n".join(left.kept)
    for wanted in (
        "prefect.db",
        "performance.html",
        "report.html",
        "printed",
        "zarr.json",
        "manifest.json",
        "quality/docs",
    ):
        assert re.search(wanted, names), f"the run left no {wanted} to look into"
    found = {
        (name, variable)
        for name, data in left.kept.items()
        for variable, secret in SECRETS.items()
        if secret.encode() in data
    }
    assert found == set()


@pytest.mark.parametrize(
    ("variable", "url"),
    [("PREFECT_API_URL", "http://me:canary@127.0.0.1:9/api"), ("KPE_STORE", "s3://me:canary@b/store")],
)
def test_a_secret_in_a_url_is_not_told_when_it_does_not_work(tmp_path: Path, variable: str, url: str) -> None:
    (tmp_path / "small.yaml").write_text(STUDY)
    environment = os.environ | {"KPE_STORE": str(tmp_path / "store"), variable: url}
    command = [sys.executable, "-m", "flows.cli", "run", str(tmp_path / "small.yaml")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2, ended.stderr
    assert "canary" not in ended.stdout + ended.stderr
