"""Task: sample one shard of a run's trajectories into the store."""

from typing import Any

from prefect import task
from prefect.logging import get_run_logger

from kpe_core.stages.manifest import registered
from kpe_core.stages.sample import sample_shard
from kpe_core.store.store import Store
from tasks.common import OPTIONS


@task(name="sample", task_run_name="sample {label}, shard {shard}", **OPTIONS)
def sample(store: str, run_id: str, label: str, shard: int) -> dict[str, Any]:
    """Returns the shard's rows, evaluations and seconds; does nothing when the shard is committed."""
    where = Store(store)
    marker = sample_shard(where, registered(where, run_id), shard)
    for flag in marker.get("flags", ()):
        get_run_logger().warning("%s: %s", label, flag)
    (first, stop), seconds = marker["rows"], marker["seconds"]
    get_run_logger().info(
        "samples %d to %d in %.1f s, %.0f a second", first, stop - 1, seconds, (stop - first) / seconds
    )
    return {key: marker[key] for key in ("rows", "evaluations", "seconds")}
