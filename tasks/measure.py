"""Task: hold one shard's endpoints against the training points and the classifier."""

from prefect import task

from kpe_core.stages.manifest import registered
from kpe_core.stages.measure import measure_shard
from kpe_core.store.store import Store
from tasks.common import declared
from tasks.rooms import MEASURING


@task(task_run_name="measure {label}, shard {shard}", **declared("measure", MEASURING))
def measure(store: str, run_id: str, label: str, shard: int) -> dict[str, int]:
    """Returns the shard and its number of samples; does nothing when its measurements are there."""
    where = Store(store)
    return measure_shard(where, registered(where, run_id), shard)
