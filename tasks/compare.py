"""Task: paired differences of a shaped run and its plain twin."""

from prefect import task

from kpe_core.stages.compare import compare as compare_runs
from kpe_core.stages.manifest import registered
from kpe_core.store.store import Store
from tasks.common import OPTIONS


@task(name="compare", task_run_name="compare {label} with its plain twin", **OPTIONS)
def compare(store: str, run_id: str, baseline_id: str, label: str) -> str:
    """Returns the path of the table of differences."""
    where = Store(store)
    return compare_runs(where, registered(where, run_id), registered(where, baseline_id))
