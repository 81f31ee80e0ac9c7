"""The flow of the weekly sweep: several studies, one after the other, whatever becomes of any of them."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed

from flows.forms import Cluster, ShardSize, StoreUrl, Studies, Workers
from flows.rerun import rerun


@flow(name="kpe sweep", flow_run_name="sweep", persist_result=False)
def sweep(
    studies: Studies,
    store: StoreUrl = "store",
    cluster_profile: Cluster = "local",
    shard_size: ShardSize = 500,
    workers: Workers = None,
) -> State[None]:
    """Rerun several studies, one after the other. One that fails stops no other, and is named at the end.

    Args:
        studies: Names of deployments/studies/, or paths of study files of your own, in the order to run them.
        store: Folder, a relative one from the checkout, or s3:// prefix.
        cluster_profile: Where to compute: one of deployments/clusters/, or the path of a profile of your own.
        shard_size: Samples per task. Changes no number.
        workers: Worker processes; none: as many as the cluster profile says.
    """
    failed: dict[str, str] = {}
    for study in studies:
        state = rerun(
            study, store, cluster_profile=cluster_profile, shard_size=shard_size, workers=workers, return_state=True
        )
        if not state.is_completed():
            failed[study] = state.message or str(state.name)
            get_run_logger().error("study %s failed, going on with the next: %s", study, failed[study])
    if failed:
        told = "; ".join(f"{study}: {why}" for study, why in failed.items())
        return Failed(message=f"{len(failed)} of {len(studies)} studies failed: {told}")
    return Completed(message=f"{len(studies)} studies are up to date")
