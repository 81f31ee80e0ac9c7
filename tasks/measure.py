"""Task: hold one shard's endpoints against the training points and the classifier."""

from prefect import task

from kpe_core.stages.manifest import registered
from kpe_core.stages.measure import measure_shard
from kpe_core.store.store import Store
from tasks.common import OPTIONS

NAME = "measure {label}, shard {shard}"


@task(name="measure", task_run_name=NAME, **OPTIONS)
def measure(store: str, run_id: str, label: str, shard: int) -> dict[str, int]:
    """Returns the shard and its number of samples; does nothing when its measurements are there."""
    where = Store(store)
    return measure_shard(where, registered(where, run_id), shard)


@task(name="measure features", task_run_name=NAME, **OPTIONS)
def measure_features(store: str, run_id: str, label: str, shard: int) -> dict[str, int]:
    """The same where networks look at the endpoints, which needs the room that sampling needs."""
    return measure.fn(store, run_id, label, shard)
