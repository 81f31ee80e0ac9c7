"""Task: hold runs against their expectations; finalise what passes, quarantine what does not."""

from prefect import task

from kpe_core.stages.manifest import registered
from kpe_core.store.store import Store
from tasks.common import OPTIONS
from tasks.quality.judge import judge as judge_runs


@task(name="judge", task_run_name="check the quality of {count} runs", **OPTIONS)
def judge(store: str, run_ids: list[str], study: str, count: int) -> dict[str, list[str]]:
    """Failed error-level expectations by run id. One task for all runs: importing Great Expectations takes seconds."""
    where = Store(store)
    return judge_runs(where, [registered(where, i) for i in run_ids], study)
