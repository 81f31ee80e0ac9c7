"""``kpe ls``, ``verify``, ``report``: looking at a store without changing its numbers."""

from rich import box
from rich.table import Table

from flows.commands.render import console, human_bytes
from kpe_core.stages.manifest import is_finalised, registered
from kpe_core.stages.requirements import sampled_rows
from kpe_core.stages.verify import damages, find_run
from kpe_core.store.store import Store
from kpe_core.study.specs import Study


def list_runs(store_url: str) -> None:
    """One line a run, finished or not."""
    store = Store.open(store_url)
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("id", "run", "samples", "states", "size", "state", "trajectories"):
        table.add_column(heading, justify="right" if heading in ("samples", "size") else "left", overflow="fold")
    for run_id in store.list("runs"):
        if not store.exists(f"runs/{run_id}/run.json"):
            continue
        run = registered(store, run_id)
        if is_finalised(store, run):
            state = "finished"
        elif store.exists(f"runs/{run_id}/quarantine.json"):
            state = "quarantined"
        else:
            state = f"{sampled_rows(store, run)[0]:,} sampled"
        folder = f"trajectories/{run.trajectories_id}/data.zarr"
        size = store.fs.du(store.path(folder)) if store.exists(folder) else 0
        kept = run.states.keep + (f" {run.states.every}" if run.states.every else "")
        table.add_row(run_id, run.label, f"{run.n_samples:,}", kept, human_bytes(size), state, folder)
    console().print(table)


def verify_runs(store_url: str, prefix: str | None) -> int:
    """Print every damage; exit code 1 where there is any."""
    store = Store.open(store_url)
    chosen = [find_run(store, prefix)] if prefix is not None else store.list("runs")
    found = 0
    for run_id in chosen:
        damage = list(damages(store, run_id))
        found += len(damage)
        print(f"{run_id}  {registered(store, run_id).label}: " + ("whole" if not damage else f"{len(damage)} problems"))
        for sentence in damage:
            print(f"  {sentence}")
    return 1 if found else 0


def write_again(study: Study, store_url: str) -> None:
    """Write the report from the store and say where it is."""
    from kpe_core.report.files import ReportFiles

    print(ReportFiles(Store.open(store_url), study.name).write(study, again=True))
