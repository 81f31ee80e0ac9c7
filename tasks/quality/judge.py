"""Stage: check the runs that are not yet visible, and let each be seen or quarantine it."""

from typing import Any

import pyarrow as pa

from kpe_core.stages.manifest import finalise, is_finalised, quarantine
from kpe_core.stages.tabulate import table_path
from kpe_core.store.schema import CHECKS
from kpe_core.store.store import Store
from kpe_core.study.runs import Run
from kpe_core.study.specs import ExpectationSpec
from tasks.quality.gate import check_runs


def judge(store: Store, runs: list[Run], study: str, more: tuple[ExpectationSpec, ...] = ()) -> dict[str, list[str]]:
    """By run id, the error-level expectations that failed, in words; none means the run is visible.

    Finalised runs are left alone, so that where all are, Great Expectations is not even imported. Each run's checks are
    written beside its tables either way. ``more`` is what the study expects beyond what always is.
    """
    failed: dict[str, list[str]] = {run.run_id: [] for run in runs}
    waiting = {run.run_id: run for run in runs if not is_finalised(store, run)}
    if not waiting:
        return failed
    checks = check_runs(store, list(waiting.values()), study, more)
    for run_id, run in waiting.items():
        rows = checks[run_id]
        store.write_table(table_path(run, "checks"), pa.Table.from_pylist(rows, schema=CHECKS))
        failed[run_id] = [in_words(row) for row in rows if row["severity"] == "error" and not row["success"]]
        if failed[run_id]:
            quarantine(store, run, failed[run_id], study)
        else:
            finalise(store, run, study)
    return failed


def in_words(check: dict[str, Any]) -> str:
    """One failed row of the checks table as a sentence."""
    return f"{check['suite']}: {check['expectation']}, but {check['observed']} (allowed: {check['threshold']})"
