"""Prefect's tasks on real Dask workers, through the client that does once what Prefect does for every task."""

import os
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest

from flows.cluster import Cluster, cluster
from flows.profiles import LocalProfile


@pytest.fixture(scope="module")
def workers() -> Iterator[Cluster]:
    """Started while no server is known, as by `kpe run`."""
    assert "PREFECT_API_URL" not in os.environ
    with cluster(LocalProfile(kind="local", workers=1)) as started:
        yield started


@pytest.mark.usefixtures("api")
def test_settings_and_certificates_are_not_made_again_for_every_task(workers: Cluster) -> None:
    from distributed import Client
    from prefect import flow, task
    from prefect.client.orchestration import get_client

    from flows.placing import PlacingTaskRunner

    def made_here() -> list[str]:
        """What the worker has made since it last was asked. Runs there, and is sent as code."""
        import prefect.settings

        if not hasattr(ssl, "made_here"):
            made: list[str] = []

            def noted(name: str, make: Any) -> Any:
                return lambda *args, **kwargs: (made.append(name), make(*args, **kwargs))[1]

            ssl.made_here = made  # type: ignore[attr-defined]
            ssl.create_default_context = noted("certificates", ssl.create_default_context)
            prefect.settings.Settings.__init__ = noted("settings", prefect.settings.Settings.__init__)  # type: ignore[method-assign]
        found: list[str] = ssl.made_here[:]  # type: ignore[attr-defined]
        ssl.made_here.clear()  # type: ignore[attr-defined]
        return found

    @task
    def same_client(i: int) -> bool:
        return get_client(sync_client=True) is get_client(sync_client=True)

    @flow(task_runner=PlacingTaskRunner(workers.address))
    def many() -> object:
        return [future.result() for future in [same_client.submit(i) for i in range(20)]]

    with Client(workers.address, set_as_default=False) as client:
        client.run(made_here)
        assert many() == [True] * 20
        (made,) = client.run(made_here).values()
    assert "settings" in made, "or this test sees nothing"
    assert made.count("settings") == 1
    assert made.count("certificates") <= 4, "by what sends events and logs, which lives as long as the worker"


@pytest.mark.usefixtures("api")
def test_tasks_have_the_settings_of_their_flow_run_and_tell_its_server(workers: Cluster, prefect_api: str) -> None:
    from prefect import flow, get_run_logger, task
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
    from prefect.context import FlowRunContext
    from prefect.settings import PREFECT_API_REQUEST_TIMEOUT, PREFECT_API_URL, temporary_settings

    from flows.placing import PlacingTaskRunner
    from flows.server import flush

    @task
    def told() -> object:
        get_run_logger().info("from a worker")
        return os.environ.get("PREFECT_API_URL"), PREFECT_API_URL.value(), PREFECT_API_REQUEST_TIMEOUT.value()

    @flow(task_runner=PlacingTaskRunner(workers.address))
    def asking() -> Any:
        found = []
        for seconds in (11.0, 12.0, 11.0):
            with temporary_settings({PREFECT_API_REQUEST_TIMEOUT: seconds}):
                found.append(told.submit().result())
        run = FlowRunContext.get()
        assert run is not None
        assert run.flow_run is not None
        return run.flow_run.id, found

    run_id, found = asking()
    assert found == [(None, prefect_api, 11.0), (None, prefect_api, 12.0), (None, prefect_api, 11.0)]
    flush()
    told_by_workers, deadline = 0, time.monotonic() + 30  # they send their logs every few seconds
    while told_by_workers < 3 and time.monotonic() < deadline:
        with SyncPrefectClient(prefect_api) as client:
            logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])))
        told_by_workers = [log.message for log in logs].count("from a worker")
        time.sleep(0.5)
    assert told_by_workers == 3


@pytest.mark.usefixtures("api")
def test_tasks_wait_for_others_and_get_their_results(workers: Cluster) -> None:
    from prefect import flow, task

    from flows.placing import PlacingTaskRunner

    @task
    def one_more(number: int) -> int:
        return number + 1

    @task
    def broken(number: int) -> int:
        raise ValueError(f"no {number}")

    @flow(task_runner=PlacingTaskRunner(workers.address))
    def chained() -> object:
        first = one_more.submit(1)
        second = one_more.submit(first, wait_for=[first])  # type: ignore[arg-type]
        failed = broken.submit(3)
        after = one_more.submit(4, wait_for=[failed])
        failed.wait()
        after.wait()
        return one_more.submit(second).result(), second.result(), failed.state.name, after.state.name

    assert chained() == (4, 3, "Failed", "NotReady")
