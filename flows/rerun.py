"""The flow that deployments run: a study by name, in a store, on a cluster. Computes only what is new."""

from prefect import flow

from flows.cluster import cluster, require_usable
from flows.launch import launch, reserved
from flows.profiles import load_profile
from kpe_core.stages.requirements import standing
from kpe_core.study.load import load_study


@flow(name="kpe rerun", flow_run_name="rerun {study}", persist_result=False)
def rerun(
    study: str = "first-look",
    store: str = "store",
    overrides: list[str] | None = None,
    cluster_profile: str = "local",
    shard_size: int = 500,
    workers: int | None = None,
) -> None:
    """Bring a study up to date: what the store holds is kept, what is missing is computed, the answers published.

    Parameters
    ----------
    study : name of a file in deployments/studies/, or a path
    store : folder or s3:// prefix
    overrides : ``a.b=c`` as for ``kpe run --set``
    cluster_profile : name of a file in deployments/clusters/, or a path
    """
    spec = load_study(study, tuple(overrides or ()))
    profile = load_profile(cluster_profile, workers)
    require_usable(profile)
    with reserved(spec, store) as where:
        if standing(where, spec).complete:
            error = launch(spec, where, None, shard_size)
        else:
            with cluster(profile) as running:
                error = launch(spec, where, running, shard_size)
    if error is not None:
        raise error
