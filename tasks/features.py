"""Task: features of one part of the real data, unless they are in the store."""

from prefect import task

from kpe_core.stages.features import compute_features
from kpe_core.stages.manifest import registered
from kpe_core.store.store import Store
from tasks.common import OPTIONS


@task(name="features", task_run_name="{space} features of real data for {label}, part {part}", **OPTIONS)
def features(store: str, run_id: str, label: str, space: str, part: int) -> dict[str, int]:
    """``run_id``: any run measured with them. Returns the part and its number of images."""
    where = Store(store)
    run = registered(where, run_id)
    return compute_features(where, run, run.measure.space(space), part)
