"""``kpe run``: one study, from the command line."""

import contextlib
import sys
import time

from flows.begun import begun
from flows.cluster import cluster, require_usable
from flows.launch import launch, reserved
from flows.profiles import load_profile
from flows.progress import terminal_progress
from flows.server import prefect_server, ui_url
from kpe_core.catalog.catalog import Catalog
from kpe_core.report.files import ReportFiles
from kpe_core.stages.requirements import standing
from kpe_core.store.store import Store
from kpe_core.study.specs import Study
from tasks.quality.docs import docs_index


def execute(study: Study, store_url: str, cluster_name: str, shard_size: int, workers: int | None) -> int:
    """Run ``study`` and print what was found; returns the exit code (1 when a run failed or was quarantined).

    Raises
    ------
    UserError
        before anything is started, when the study, the store or the cluster cannot work.
    """
    profile = load_profile(cluster_name, workers)
    require_usable(profile, study)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(reserved(study, store_url))
        server = stack.enter_context(begun(prefect_server(store)))
        running = None if standing(store, study).complete else stack.enter_context(cluster(profile))
        say(f"Prefect UI      {ui_url(server())}")
        if running is not None:
            say(f"Dask dashboard  {running.dashboard}  ({running.workers} workers)")
            for device in running.devices:
                say(f"GPU             {device}")
        with terminal_progress(store, study):
            error = launch(study, store, running, shard_size)
    conclusion(study, store, time.monotonic() - started)
    if error is not None:
        say(f"kpe: {error}")
    return 0 if error is None else 1


def conclusion(study: Study, store: Store, seconds: float) -> None:
    """Print the findings, and where everything is."""
    files = ReportFiles(store, study.name)
    if files.exists():
        print(f"{files.summary()}\n")
        print(f"report   {files.html_path}")
    print(f"store    {store.url}")
    print(f"checks   {docs_index(store)}" + _warnings(store, study))
    print(f'ask      kpe sql "SELECT run_label, n_samples FROM runs" --store {store.url}')
    print(f"UI       kpe ui --store {store.url}   (this run and all past ones)")
    print(f"\n{seconds:.0f} s")


def _warnings(store: Store, study: Study) -> str:
    """How many expectations failed as warnings, in which runs, and which runs were accepted in spite of errors."""
    sql = """
        SELECT m.run_label, count(*) FILTER (severity = 'warning') AS n, count(c.accepted) > 0 AS accepted
        FROM checks c JOIN study_runs m USING (run)
        WHERE m.study = $study AND NOT success GROUP BY m.position, m.run_label ORDER BY m.position"""
    with Catalog(store) as catalog:
        found = catalog.query(sql, study=study.name).to_pylist()
    warned = [row["run_label"] for row in found if row["n"]]
    accepted = [row["run_label"] for row in found if row["accepted"]]
    told = f"{sum(row['n'] for row in found)} warnings: {', '.join(warned)}" if warned else "no warnings"
    passed = f"; accepted with errors: {', '.join(accepted)}" if accepted else ""
    return f"   ({told}{passed})"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
