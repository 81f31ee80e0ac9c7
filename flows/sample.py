"""The flow that computes trajectories and nothing else: for machines that should only sample."""

from typing import Any

from prefect import flow
from prefect.logging import get_run_logger

from flows.cluster import cluster, require_usable
from flows.fan_out import Started, first_error, submit_samples, trained
from flows.forms import Cluster, Overrides, ShardSize, StoreUrl, Study, Workers
from flows.launch import launch, reserved
from flows.profiles import load_profile
from flows.progress import progress_artifact
from flows.sentences import called, in_sentences
from kpe_core.store.store import Store
from kpe_core.study.load import load_study
from kpe_core.study.specs import Study as Spec


@flow(name="kpe sample", flow_run_name=called("sample"), persist_result=False)
@in_sentences
def sample(
    study: Study = "first-look",
    store: StoreUrl = "store",
    overrides: Overrides = None,
    cluster_profile: Cluster = "local",
    shard_size: ShardSize = 500,
    workers: Workers = None,
) -> None:
    """Compute the trajectories of a study that the store lacks, and what must be trained for them; no tables, no report.

    Classifiers and projections are trained too: a run's id holds their weights' hashes.

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
    with reserved(spec, store, get_run_logger().info) as where, cluster(profile) as running:
        error = launch(spec, where, running, shard_size, sample_study)
    if error is not None:
        raise error


@flow(name="kpe trajectories", flow_run_name="trajectories of {name}", persist_result=False)
def sample_study(name: str, study: dict[str, Any], store: str, shard_size: int = 500) -> dict[str, int]:
    """Train and sample; returns the numbers of runs and of shards that were computed.

    Raises
    ------
    NumericalTrouble
        when a field or a training stops making sense, once everything else is sampled.
    """
    where, spec = Store(store), Spec.model_validate(study)
    started: Started = {}
    errors: list[BaseException] = []
    runs = 0
    with progress_artifact(where, spec):
        for _, run in trained(where, spec):
            if isinstance(run, BaseException):
                errors.append(run)
                continue
            submit_samples(where, run, shard_size, started)
            runs += 1
        if (error := first_error(list(started.values()))) is not None:
            errors.append(error)
    get_run_logger().info("%d runs, %d shards sampled now", runs, len(started))
    for error in errors:
        raise error
    return {"runs": runs, "shards": len(started)}
