"""Task: hold runs against their expectations; finalise what passes, quarantine what does not."""

from typing import Any

from prefect import task
from prefect.artifacts import create_table_artifact

from kpe_core.stages.manifest import registered
from kpe_core.stages.tabulate import table_path
from kpe_core.store.store import Store
from kpe_core.study.specs import Study
from tasks.common import OPTIONS, slug
from tasks.markdown import plain_cells
from tasks.quality.judge import judge as judge_runs


@task(name="judge", task_run_name="check the quality of {count} runs", **OPTIONS)
def judge(store: str, run_ids: list[str], study: dict[str, Any], count: int) -> dict[str, list[str]]:
    """Failed error-level expectations by run id. One task for all runs: importing Great Expectations takes seconds.

    Runs in quarantine are not visible to SQL, so what failed of them is an artifact of its own.
    """
    where, spec = Store(store), Study.model_validate(study)
    runs = [registered(where, i) for i in run_ids]
    failed = judge_runs(where, runs, spec.name, spec.quality)
    kept_back = [run for run in runs if failed[run.run_id]]
    if kept_back:
        rows = [
            plain_cells({"run": run.label, "id": run.run_id} | {k: value for k, value in check.items() if k != "run"})
            for run in kept_back
            for check in where.read_table(table_path(run, "checks")).to_pylist()
            if not check["success"]
        ]
        about = "Runs in quarantine: `kpe quality show RUN`, and `kpe quality accept RUN --reason …` to let one pass"
        create_table_artifact(rows, key=f"quarantine-{slug(spec.name)}", description=about)
    return failed
