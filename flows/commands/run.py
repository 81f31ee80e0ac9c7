"""``kpe run``: one study, one flow run."""

import contextlib
import sys
import time
from typing import Any

from flows.cluster import Cluster, cluster, load_profile
from flows.progress import terminal_progress
from flows.server import prefect_server, ui_url
from kpe_core.data.datasets import load
from kpe_core.errors import UserError
from kpe_core.stages.requirements import standing
from kpe_core.store.store import Store
from kpe_core.study.runs import cells
from kpe_core.study.specs import Study


def execute(study: Study, store_url: str, cluster_name: str, shard_size: int, workers: int | None) -> int:
    """Run ``study`` and print what was found; returns the exit code (1 when a run failed or was quarantined).

    Raises
    ------
    UserError
        before anything is started, when the study, the store or the cluster cannot work.
    """
    profile = load_profile(cluster_name, workers)
    for cell in cells(study):
        load(cell.data)
    store = Store.create_or_open(store_url)
    with store.lock(f"study-{study.name}", wait=False) as free:
        if not free:
            raise UserError(
                f"another `kpe run` of study {study.name!r} is writing to {store.url}; "
                "wait for it, or use another --store"
            )
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            api = stack.enter_context(prefect_server(store))
            say(f"Prefect UI      {ui_url(api)}")
            workers_at = None
            if not standing(store, study).complete:
                workers_at = stack.enter_context(cluster(profile))
                say(f"Dask dashboard  {workers_at.dashboard}  ({workers_at.workers} workers)")
            stack.enter_context(terminal_progress(store, study))
            error = _run_flow(study, store, workers_at, shard_size)
        conclusion(study, store, time.monotonic() - started)
    if error is not None:
        say(f"kpe: {error}")
        return 1
    return 0


def _run_flow(study: Study, store: Store, workers: Cluster | None, shard_size: int) -> BaseException | None:
    """The flow run's error, or None. Without workers, nothing is left to compute and the flow runs here."""
    from prefect.task_runners import ThreadPoolTaskRunner
    from prefect_dask import DaskTaskRunner

    from flows.study import run_study

    runner: Any = DaskTaskRunner(address=workers.address) if workers else ThreadPoolTaskRunner(max_workers=2)
    state = run_study.with_options(task_runner=runner)(
        study.name, study.model_dump(mode="json"), store.url, shard_size, return_state=True
    )
    flush()
    if state.is_completed():
        return None
    found = state.result(raise_on_failure=False)
    return found if isinstance(found, BaseException) else RuntimeError(state.message)


def flush() -> None:
    """Send what Prefect still holds back, logs and events, while there is a server to send it to."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=5)
    EventsWorker.drain_all(timeout=5)


def conclusion(study: Study, store: Store, seconds: float) -> None:
    """Print the findings, and where everything is."""
    folder = f"studies/{study.name}"
    if store.exists(f"{folder}/summary.txt"):
        print(store.read(f"{folder}/summary.txt").decode())
    print(f"\nreport   {store.path(folder, 'report.html')}")
    print(f"store    {store.url}")
    print(f'ask      kpe sql "SELECT label, n_samples FROM runs" --store {store.url}')
    print(f"UI       kpe ui --store {store.url}   (this run and all past ones)")
    print(f"checks   {store.path('quality')}")
    print(f"\n{seconds:.0f} s")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
