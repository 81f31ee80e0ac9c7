"""Workers that cannot see the store, are of another version or reach no server: named before anything is computed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from flows.agreement import Agreement, agreed
from flows.cluster import Cluster
from flows.launch import launch
from kpe_core.errors import UserError
from kpe_core.store.store import Store
from kpe_core.study.specs import Study

ALONE = shutil.which("unshare") is not None and subprocess.run(["unshare", "-m", "true"]).returncode == 0
Joins = Callable[..., AbstractContextManager[subprocess.Popen[str]]]


@pytest.fixture
def scheduler() -> Iterator[str]:
    """One without workers."""
    with LocalCluster(
        n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs="ERROR"
    ) as cluster:  # fmt: skip
        yield str(cluster.scheduler_address)


@pytest.fixture
def joins(scheduler: str) -> Joins:
    """A worker of its own process, begun by some other command, where one is given, in another folder and environment."""

    @contextmanager
    def join(*before: str, folder: Path | None = None, **environment: str) -> Iterator[subprocess.Popen[str]]:
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--nthreads", "1"]
        process = subprocess.Popen(
            [*before, *worker, "--host", "127.0.0.1", "--no-dashboard"], cwd=folder, text=True,
            env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)

    return join


def wait_for_worker(scheduler: str) -> None:
    with Client(scheduler, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=60)


def refused(store: Store, scheduler: str, message: str) -> None:
    with pytest.raises(UserError, match=message), agreed(store, scheduler, None):
        pass


def test_a_worker_that_agrees_takes_part_and_nothing_is_left_of_it(
    scheduler: str, joins: Joins, tmp_path: Path, prefect_api: str
) -> None:
    store = Store.create_or_open(str(tmp_path / "store"))
    with (
        joins(),
        agreed(store, scheduler, prefect_api),  # the first has yet to come, and is waited for
        joins(),
        Client(scheduler, set_as_default=False) as client,
    ):
        client.wait_for_workers(2, timeout=60)
    assert store.list("locks") == []


@pytest.mark.skipif(not ALONE, reason="needs a mount namespace, which is the superuser's")
def test_a_worker_of_another_machine_does_not_see_a_local_store(
    scheduler: str, joins: Joins, tmp_path: Path, tiny: Study, api: None
) -> None:
    """Another machine: the same paths, and other disks below them."""
    store = Store.create_or_open(str(tmp_path / "shared" / "store"))
    empty = ("unshare", "-m", "sh", "-c", f'mount -t tmpfs none {tmp_path}/shared && exec "$@"', "sh")
    message = r"worker tcp://.* takes no part: it cannot use the store .*no store at .*give one that all machines see"
    with joins(*empty):
        wait_for_worker(scheduler)
        with pytest.raises(UserError, match=message):
            launch(tiny, store, Cluster(scheduler, "", 1, elsewhere=True), 20)
    assert store.list("trajectories") == []
    assert [name for name in store.list("locks") if name.startswith("workers")] == []
    with joins(), agreed(store, scheduler, None), joins(*empty) as late:
        _, told = late.communicate(timeout=60)
        assert "TakesNoPart: it cannot use the store" in told
        assert late.returncode != 0
        with Client(scheduler, set_as_default=False) as client:
            assert len(client.scheduler_info(n_workers=-1)["workers"]) == 1


def test_a_worker_without_credentials_does_not_reach_a_bucket(scheduler: str, joins: Joins, bucket: str) -> None:
    store = Store.create_or_open(bucket)
    with joins(AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1"):
        wait_for_worker(scheduler)
        refused(store, scheduler, r"takes no part: it cannot use the store s3://.*all machines see")


def test_a_worker_without_this_package_is_told_so(scheduler: str, joins: Joins, tmp_path: Path) -> None:
    store = Store.create_or_open(str(tmp_path / "store"))
    (tmp_path / "flows.py").write_text("")
    with joins(folder=tmp_path, PYTHONPATH=""):
        wait_for_worker(scheduler)
        refused(store, scheduler, "takes no part: it cannot import this kpe-pipeline")


def test_other_reasons(tmp_path: Path) -> None:
    store = Store.create_or_open(str(tmp_path / "store"))
    store.write("locks/x/token", b"mine")
    held = Agreement(store.url, "locks/x", "mine", None)
    assert held.objection() is None
    assert "another store lies at" in (replace(held, token="another's").objection() or "")
    assert "numbers of version" in (replace(held, numerics=10**6).objection() or "")
    server = "http://user:secret@127.0.0.1:9/api"
    told = replace(held, server=server).objection() or ""
    assert "the Prefect server http://" in told
    assert "secret" not in told
    (tmp_path / "store" / "locks" / "x" / "token").unlink()
    assert "it cannot use the store" in (held.objection() or "")
