"""What a store holds of a study, run by run: trajectories, and what became visible of them."""

from typing import Any

from kpe_core.stages.manifest import is_finalised
from kpe_core.stages.requirements import sampled_rows
from kpe_core.stages.resolve import resolve
from kpe_core.store.store import Store
from kpe_core.study.runs import Run, cells
from kpe_core.study.specs import Study

Holding = dict[str, Any]
"""Of one cell: run (its id; None while it is not known), samples (in the store), of (all), finished (visible)."""


def holdings(store: Store, study: Study) -> dict[str, Holding]:
    """What the store holds of every cell, by label."""
    found: dict[str, Holding] = {}
    for cell in cells(study):
        run = resolve(store, cell)
        if run is None:
            found[cell.label] = {"run": None, "samples": 0, "of": cell.n_samples, "finished": False}
            continue
        finished = is_finalised(store, run)
        samples = run.n_samples if finished else sampled_rows(store, run)[0]
        found[cell.label] = {"run": run.run_id, "samples": samples, "of": run.n_samples, "finished": finished}
    return found


def sampled_runs(store: Store, study: Study) -> tuple[list[Run], list[str]]:
    """The runs all of whose samples are in the store, and the labels of the other cells."""
    runs, without = [], []
    for cell in cells(study):
        run = resolve(store, cell)
        if run is not None and sampled_rows(store, run)[0] == run.n_samples:
            runs.append(run)
        else:
            without.append(cell.label)
    return runs, without


def reopen(store: Store, run: Run) -> None:
    """Take a visible run's manifest away, so that it is tabulated and checked again; not one that somebody accepted.

    Killed in between, the run is merely unfinished: whatever next brings its study up to date finishes it.
    """
    path = f"runs/{run.run_id}/manifest.json"
    if store.exists(path) and store.read_json(path).get("accepted") is None:
        store.remove(path)
