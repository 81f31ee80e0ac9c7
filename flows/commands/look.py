"""``kpe ls``, ``verify``, ``report``: looking at a store without changing its numbers."""

import pyarrow as pa
from rich import box
from rich.table import Table

from flows.commands.render import console, human_bytes
from kpe_core.errors import StoreDamaged, UserError
from kpe_core.stages.damage import Damage
from kpe_core.stages.holding import have_alone
from kpe_core.stages.manifest import is_finalised, registered
from kpe_core.stages.repair import Outcome, repair
from kpe_core.stages.requirements import sampled_rows
from kpe_core.stages.tabulate import table_path
from kpe_core.stages.verify import damages, find_run, store_damages
from kpe_core.store.schema import CHECKS
from kpe_core.store.store import Store
from kpe_core.study.runs import Run
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
    if prefix is not None:
        run_id = find_run(store, prefix)
        found = damages(store, run_id)
        print(f"{run_id}: " + ("whole" if not found else f"{len(found)} problems"))
    else:
        found = store_damages(store)
        _tell_runs(store, found)
    for damage in found:
        runs = f"  [run {', '.join(damage.runs)}]" if damage.runs and prefix is None else ""
        print(f"  {damage}{runs}")
    return 1 if found else 0


def repair_store(store_url: str) -> int:
    """Make again what is damaged and tell of each; exit code 1 where something is left to do.

    Raises
    ------
    UserError
        when a study is being run in the store, or it cannot be written.
    """
    store = Store(store_url)
    if not store.list(""):
        raise UserError(f"no store at {store.url}")
    with have_alone(store, "nothing is repaired"):
        outcomes: dict[str, Outcome] = {}
        # Until the plan of a folder is sound, what else is damaged there cannot be seen, nor what is made of it repaired.
        found = store_damages(store)
        while any(damage.path not in outcomes for damage in found):
            outcomes |= {outcome.damage.path: outcome for outcome in repair(store, found, _check)}
            found = store_damages(store)
    for outcome in outcomes.values():
        print(f"  {outcome.damage}\n    {outcome.said}")
    left = sum(not outcome.repaired for outcome in outcomes.values())
    print(
        f"{len(outcomes) - left} objects repaired" + (f", {left} problems left" if left else "")
        if outcomes
        else "whole"
    )
    return 1 if left else 0


def _check(store: Store, run: Run, study: str) -> None:
    from tasks.quality.gate import check_runs

    rows = check_runs(store, [run], study)[run.run_id]
    store.write_table(table_path(run, "checks"), pa.Table.from_pylist(rows, schema=CHECKS))


def _tell_runs(store: Store, found: list[Damage]) -> None:
    """One line a run, then one for what belongs to none."""
    for run_id in store.list("runs"):
        ours = [damage for damage in found if run_id in damage.runs]
        try:
            label = registered(store, run_id).label
        except (StoreDamaged, UserError):
            label = "(its run.json cannot be read)"
        print(f"{run_id}  {label}: " + ("whole" if not ours else f"{len(ours)} problems"))
    if rest := [damage for damage in found if not damage.runs]:
        print(f"what belongs to no run: {len(rest)} problems")


def write_again(study: Study, store_url: str) -> None:
    """Write the report from the store and say where it is."""
    from kpe_core.report.files import ReportFiles

    print(ReportFiles(Store.open(store_url), study.name).write(study, again=True))
