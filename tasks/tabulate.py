"""Task: write a run's Parquet tables."""

from prefect import task

from kpe_core.stages.manifest import registered
from kpe_core.stages.tabulate import tabulate as write_tables
from kpe_core.store.store import Store
from tasks.common import OPTIONS


@task(name="tabulate", task_run_name="tables of {label}", **OPTIONS)
def tabulate(store: str, run_id: str, label: str) -> dict[str, int]:
    """Returns the tables' row counts."""
    where = Store(store)
    return write_tables(where, registered(where, run_id))
