"""The flow that most deployments run: a study by name, in a store, on a cluster. Computes only what is new."""

from prefect import flow
from prefect.logging import get_run_logger

from flows.cluster import cluster, require_usable
from flows.forms import Cluster, Overrides, ShardSize, StoreUrl, Study, Workers
from flows.launch import launch, reserved
from flows.profiles import load_profile
from flows.sentences import called, in_sentences
from flows.server import flush
from kpe_core.report.history import begin
from kpe_core.stages.holdings import holdings
from kpe_core.stages.requirements import standing
from kpe_core.study.load import load_study
from tasks.moved import tell_moved


@flow(name="kpe rerun", flow_run_name=called("rerun"), persist_result=False)
@in_sentences
def rerun(
    study: Study = "first-look",
    store: StoreUrl = "store",
    overrides: Overrides = None,
    cluster_profile: Cluster = "local",
    shard_size: ShardSize = 500,
    workers: Workers = None,
) -> None:
    """Bring a study up to date: what the store holds is kept, what is missing is computed, the answers are published.

    At the end an artifact says what was reused, what was computed new, and what moved since the last rerun.

    Args:
        study: One of deployments/studies/, or the path of a study file of your own.
        store: Folder, a relative one from the checkout, or s3:// prefix.
        overrides: Values that differ from the file's, as `experiments.0.sampling.n_samples=200`; see `kpe run --set`.
        cluster_profile: Where to compute: one of deployments/clusters/, or the path of a profile of your own.
        shard_size: Samples per task. Changes no number.
        workers: Worker processes; none: as many as the cluster profile says.
    """
    spec = load_study(study, tuple(overrides or ()))
    profile = load_profile(cluster_profile, workers)
    require_usable(profile, spec)
    with reserved(spec, store, get_run_logger().info) as where:
        before = holdings(where, spec)
        begin(where, spec.name)
        if standing(where, spec).complete:
            error = launch(spec, where, None, shard_size)
        else:
            with cluster(profile) as running:
                error = launch(spec, where, running, shard_size)
        tell_moved(where.url, spec.model_dump(mode="json"), before)
        flush()
    if error is not None:
        raise error
