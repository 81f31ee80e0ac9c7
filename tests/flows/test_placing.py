"""Rooms, timeouts and limits, on real workers and a real server."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.cluster import Cluster, cluster, measuring_workers
from flows.profiles import AddressProfile, LocalProfile
from kpe_core.errors import UserError
from kpe_core.store.store import Store
from kpe_core.study.load import load_study
from tasks.rooms import MEASURING, SAMPLING

SHORT = """
name: placed
experiments:
  - name: planar
    data: {name: digits, n_train: 60}
    fields: {kind: exact}
    sampling: {n_samples: 60, nfe: 10, batch: 20}
    measure: {spaces: [{extractor: pixels}, {extractor: pca, components: 4}], densities: [{estimator: knn}], probe: 0}
  - name: flat
    data: {name: dense_sparse, n_train: 60}
    fields: {kind: exact}
    sampling: {n_samples: 60, nfe: 10, batch: 20}
    measure: {spaces: [{extractor: pixels}], densities: [{estimator: knn}], probe: 0}
"""


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A scheduler with a worker that samples, and another that measures."""
    from distributed import LocalCluster

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs="ERROR",
            resources={SAMPLING: 1},
        ) as started,
        measuring_workers(started.scheduler_address, 1),
    ):  # fmt: skip
        yield started.scheduler_address


@pytest.mark.slow
@pytest.mark.usefixtures("api")
def test_each_task_runs_where_there_is_room_for_its_kind(scheduler: str, tmp_path: Path) -> None:
    from distributed import Client

    from flows.launch import launch

    (tmp_path / "short.yaml").write_text(SHORT)
    with cluster(AddressProfile(kind="address", address=scheduler)) as found, Client(scheduler) as client:
        assert found.rooms == {SAMPLING, MEASURING}
        offers = {
            address: set(told["resources"]) for address, told in client.scheduler_info(n_workers=-1)["workers"].items()
        }
        assert sorted(map(sorted, offers.values())) == [[MEASURING], [SAMPLING]]
        client.get_task_stream(count=0)  # from now on
        store = Store.create_or_open(str(tmp_path / "store"))
        study = load_study(str(tmp_path / "short.yaml"))
        assert launch(study, store, found, 20) is None
        seen = {(task["key"].rsplit("-", 5)[0], *offers[task["worker"]]) for task in client.get_task_stream()}
    assert seen == {
        ("train", SAMPLING), ("sample", SAMPLING), ("features", SAMPLING),
        ("measure_features", SAMPLING),
        ("measure", MEASURING), ("tabulate", MEASURING), ("judge", MEASURING), ("report", MEASURING),
        ("publish", MEASURING),
    }  # fmt: skip


def test_who_offers_nothing_takes_everything() -> None:
    with cluster(LocalProfile(kind="local", workers=1)) as here:
        assert here.rooms == frozenset()
        with cluster(AddressProfile(kind="address", address=here.address, task_timeout=9)) as found:
            assert found == Cluster(here.address, found.dashboard, 1, (), frozenset(), 9, elsewhere=True)


@pytest.mark.usefixtures("api")
def test_a_task_that_hangs_is_given_up_and_tried_again(scheduler: str, tmp_path: Path) -> None:
    from prefect import flow, task

    from flows.placing import PlacingTaskRunner
    from tasks.common import OPTIONS

    @task(name="sample", **OPTIONS | {"retry_delay_seconds": 0})
    def sample(first: str) -> str:
        if not Path(first).exists():
            Path(first).touch()
            for _ in range(600):
                time.sleep(0.1)
        return "sampled"

    @flow(task_runner=PlacingTaskRunner(scheduler, {SAMPLING}, timeout=2, limited={"sample"}))
    def sampling() -> str:
        return str(sample.submit(str(tmp_path / "hung")).result())

    started = time.monotonic()
    assert sampling() == "sampled"
    assert 2 < time.monotonic() - started < 30


@pytest.mark.usefixtures("api")
def test_trouble_is_tried_again_and_a_mistake_is_not(scheduler: str, tmp_path: Path) -> None:
    from prefect import flow, task

    from flows.placing import PlacingTaskRunner
    from tasks.common import OPTIONS

    @task(name="sample", **OPTIONS | {"retry_delay_seconds": 0})
    def sample(error: str) -> None:
        with (tmp_path / error).open("a") as tries:
            tries.write("x")
        raise UserError("no such shard") if error == "mistake" else OSError("the store does not answer")

    @flow(task_runner=PlacingTaskRunner(scheduler))
    def sampling() -> None:
        for future in [sample.submit("mistake"), sample.submit("trouble")]:
            future.wait()

    sampling()
    assert [len((tmp_path / error).read_text()) for error in ("mistake", "trouble")] == [1, 3]


def test_limits_are_set_and_lifted(prefect_api: str, tmp_path: Path) -> None:
    from prefect.client.orchestration import PrefectClient

    from flows.limits import load_limits, make_limits

    async def changed(limits: dict[str, int]) -> tuple[list[str], dict[str, int]]:
        async with PrefectClient(prefect_api) as client:
            await client.create_concurrency_limit(tag="somebody-else", concurrency_limit=7)
            told = await make_limits(client, limits)
            found = await client.read_concurrency_limits(limit=100, offset=0)
            return told, {limit.tag: limit.concurrency_limit for limit in found}

    (tmp_path / "limits.yaml").write_text("train: 1\ntabulate: 2\n")
    told, found = asyncio.run(changed(load_limits(tmp_path / "limits.yaml")))
    assert told == ["train 1", "tabulate 2"]
    assert found == {"kpe-train": 1, "kpe-tabulate": 2, "somebody-else": 7}
    told, found = asyncio.run(changed({"tabulate": 3}))
    assert (told, found) == (["tabulate 3"], {"kpe-tabulate": 3, "somebody-else": 7})
    assert asyncio.run(changed(load_limits())) == ([], {"somebody-else": 7})


@pytest.mark.parametrize("text", ["sampel: 2", "train: 0", "train: many", "[train]", "train: ["])
def test_mistakes_in_limits_are_named(tmp_path: Path, text: str) -> None:
    from flows.limits import load_limits

    (tmp_path / "limits.yaml").write_text(text)
    with pytest.raises(UserError, match=r"limits\.yaml(: not limits by kind of task| is not valid YAML)"):
        load_limits(tmp_path / "limits.yaml")
