"""Taking runs out of a store, so that nothing else notices: trajectories that other runs share stay, and so do weights and
features, which `kpe gc` removes once nobody needs them."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from kpe_core.errors import UserError
from kpe_core.stages.garbage import PAGES, discard
from kpe_core.stages.holding import have_alone
from kpe_core.stages.references import References
from kpe_core.stages.verify import find_run
from kpe_core.store.store import Store

FULL_ID = re.compile(r"[0-9a-f]{16}")
STILL_WRITTEN = 24 * 3600.0
"""Seconds in which an unfinished run on an object store may still be written by somebody."""


@dataclass(frozen=True)
class Removed:
    """What went, or would go: bytes by path; of which studies rows went; what of the runs others keep."""

    sizes: dict[str, int]
    studies: list[str]
    kept: list[str]


def chosen(store: Store, prefixes: Sequence[str]) -> list[str]:
    """Ids of the runs that start so. A whole id that is not there any more was removed before, and is passed over.

    Raises
    ------
    UserError
        when a prefix is that of no run or of several, or when none of the runs is there.
    """
    known = store.list("runs")
    there = [p for p in prefixes if p in known or not FULL_ID.fullmatch(p)]
    return list(dict.fromkeys(find_run(store, p) for p in there or prefixes))


def remove_runs(store: Store, run_ids: list[str], force: bool = False, dry_run: bool = False) -> Removed:
    """Remove runs: first from SQL's sight, last the ``run.json`` that names them, so that it can be done again if killed.

    ``force``: also when other runs are compared with one of them, and when one may still be written on an object store.

    Raises
    ------
    UserError
        when that is so without ``force``, a study is being run in the store, or a run there cannot be read.
    """
    if dry_run:
        return _remove(References(store), run_ids, force, dry_run=True)
    with have_alone(store, "nothing is removed"):
        return _remove(References(store), run_ids, force, dry_run=False)


def _remove(references: References, run_ids: list[str], force: bool, dry_run: bool) -> Removed:
    store = references.store
    if not force:
        _require_no_baseline(references, run_ids)
        _require_nobody_writes(references, run_ids)
    comparisons = sorted({path for run_id in run_ids for path in references.comparisons_of(run_id)})
    going, kept = _trajectories(references, run_ids)
    pages = [f"{PAGES}/{run_id}" for run_id in run_ids if store.list(f"{PAGES}/{run_id}")]
    folders = [f"runs/{run_id}" for run_id in run_ids]
    studies = [study for study in store.list("studies") if _rows(store, study, run_ids)]
    sizes = {
        path: sum(o.size for o in store.objects(path)) for path in (*comparisons, *pages, *going, *folders)
    }  # fmt: skip
    if not dry_run:
        for folder in folders:
            store.remove(f"{folder}/manifest.json")
            store.remove(f"{folder}/quarantine.json")
        for path in (*comparisons, *pages):
            store.remove(path)
        for study in studies:
            rows = store.read_json(f"studies/{study}/runs.json")
            store.write_json(f"studies/{study}/runs.json", [row for row in rows if row["run"] not in run_ids])
        for path in going:
            discard(store, path)
        for folder in folders:
            for name in store.list(folder):
                if name != "run.json":
                    store.remove(f"{folder}/{name}")
        for folder in folders:
            store.remove(folder)
    return Removed(sizes, studies, kept)


def _trajectories(references: References, run_ids: list[str]) -> tuple[list[str], list[str]]:
    """Folders that no other run shares; and sentences about those that others do."""
    others = {references.trajectories_of(run): i for i, run in references.runs.items() if i not in run_ids}
    # A folder without run.json is what is left of a run whose trajectories went before.
    theirs = {references.trajectories_of(references.runs[i]): i for i in run_ids if i in references.runs}
    going = [path for path in theirs if path not in others and references.store.list(path)]
    return going, [f"{path} stays: run {others[path]} shares it" for path in theirs if path in others]


def _rows(store: Store, study: str, run_ids: list[str]) -> bool:
    path = f"studies/{study}/runs.json"
    return store.exists(path) and any(row["run"] in run_ids for row in store.read_json(path))


def _require_no_baseline(references: References, run_ids: list[str]) -> None:
    for run, baseline in references.comparisons.values():
        if baseline in run_ids and run not in run_ids and run in references.runs:
            raise UserError(
                f"run {references.runs[run].label} ({run}) is compared with run {references.runs[baseline].label} "
                f"({baseline}); remove both, or say --force, which removes the comparison with it"
                if baseline in references.runs
                else f"run {run} is compared with run {baseline}; remove both, or say --force"
            )


def _require_nobody_writes(references: References, run_ids: list[str]) -> None:
    """Where no lock tells, a run that is neither finished nor in quarantine may be on its way."""
    store = references.store
    if store.is_local:
        return
    for run_id in run_ids:
        if any(store.exists(f"runs/{run_id}/{name}.json") for name in ("manifest", "quarantine")):
            continue
        run = references.runs.get(run_id)
        folders = [f"runs/{run_id}", *([references.trajectories_of(run)] if run is not None else [])]
        last = max((o.modified for folder in folders for o in store.objects(folder)), default=0.0)
        if time.time() - last < STILL_WRITTEN:
            raise UserError(
                f"run {run_id} is not finished, and was written to within 24 hours: perhaps a `kpe run` still does. "
                "Wait for it, or say --force if none does"
            )
