"""``kpe plan``: what a study costs, before anything runs."""

import os
from collections.abc import Sequence

from rich import box
from rich.table import Table

from flows.commands.forecast import show_forecasts
from flows.commands.render import console, human_bytes, human_time
from kpe_core.planning.work import Site
from kpe_core.stages.manifest import is_finalised
from kpe_core.stages.plan import plan
from kpe_core.stages.resolve import resolve
from kpe_core.store.store import Store
from kpe_core.study.runs import Cell
from kpe_core.study.specs import Study

STARTUP_SECONDS = 45.0
"""Server, workers, their imports, the checks and the report."""


def show_plan(study: Study, store: str, shard_size: int, sites: Sequence[Site] = ()) -> None:
    """Print one line a run and the totals; for ``sites``, what it would take there.

    Reads the store, if there is one; writes nothing.
    """
    out = console()
    costs = plan(study, shard_size)
    where = Store(store)
    standing = {c.cell.label: _standing(where, c.cell) for c in costs.costs}
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("run", "id", "samples", "NFE", "shards", "evaluations", "size", "time", "in the store"):
        table.add_column(heading, justify="left" if heading in ("run", "id", "in the store") else "right")
    for cost in costs.costs:
        cell, (run_id, state) = cost.cell, standing[cost.cell.label]
        table.add_row(
            cell.label, run_id, f"{cell.n_samples:,}", str(cell.nfe), str(cost.shards), f"{cost.evaluations:,}",
            human_bytes(cost.bytes), human_time(cost.sampling_seconds + cost.measuring_seconds), state,
        )  # fmt: skip
    out.print(f"{study.title or study.name}")
    out.print(table)
    n = os.cpu_count() or 1
    total = sum(c.bytes for c in costs.costs)
    todo = [c for c in costs.costs if standing[c.cell.label][1] != "finished"]
    out.print(
        f"{len(costs.costs)} runs ({len(todo)} to do), {sum(c.shards for c in costs.costs)} shards, "
        f"{sum(c.evaluations for c in costs.costs):,} evaluations, {human_bytes(total)} before compression; "
        f"training {human_time(costs.training_seconds)} of one core",
    )
    if sites:
        show_forecasts(costs, where, shard_size, sites)
        return
    out.print(f"from nothing, about {human_time(costs.wall_seconds(n) + STARTUP_SECONDS)} on {n} workers")


def _standing(store: Store, cell: Cell) -> tuple[str, str]:
    """The run's id as far as it is known, and how far it is."""
    run = resolve(store, cell)
    if run is None:
        return "(after training)", "–"
    return run.run_id, "finished" if is_finalised(store, run) else "–"
