"""The flow that computes no sample: tables, checks, answers and artifacts of the trajectories a store holds."""

from typing import Any

from prefect import flow
from prefect.logging import get_run_logger

from flows.cluster import cluster, require_usable
from flows.fan_out import Futures, Started, submit_run
from flows.forms import Cluster, Overrides, StoreUrl, Study, Workers
from flows.launch import launch, reserved
from flows.profiles import load_profile
from flows.sentences import called, in_sentences
from flows.study import settle
from kpe_core.errors import UserError
from kpe_core.stages.holdings import reopen, sampled_runs
from kpe_core.stages.manifest import is_finalised, register
from kpe_core.store.store import Store
from kpe_core.study.load import load_study
from kpe_core.study.specs import Study as Spec


@flow(name="kpe analyze", flow_run_name=called("analyze"), persist_result=False)
@in_sentences
def analyze(
    study: Study = "first-look",
    store: StoreUrl = "store",
    overrides: Overrides = None,
    again: bool = False,
    cluster_profile: Cluster = "local",
    workers: Workers = None,
) -> None:
    """Measure, tabulate, check, ask and publish whatever the store holds complete trajectories of. Samples nothing.

    Args:
        study: One of deployments/studies/, or the path of a study file of your own.
        store: Folder, a relative one from the checkout, or s3:// prefix.
        overrides: Values that differ from the file's, as `experiments.0.sampling.n_samples=200`; see `kpe run --set`.
        again: Write the tables and check the quality of runs that are visible already, too. Those that somebody
            accepted in spite of what failed are left alone.
        cluster_profile: Where to compute: one of deployments/clusters/, or the path of a profile of your own.
        workers: Worker processes; none: as many as the cluster profile says.
    """
    spec = load_study(study, tuple(overrides or ()))
    profile = load_profile(cluster_profile, workers)
    require_usable(profile)
    with reserved(spec, store, get_run_logger().info) as where:
        sampled, without = sampled_runs(where, spec)
        if not sampled:
            raise UserError(
                f"{where.url} holds no complete trajectories of study {spec.name!r}; compute them with the deployment "
                "`kpe sample/sample`, or all at once with `kpe rerun/on-demand`"
            )
        if without:
            get_run_logger().warning("left out, their trajectories are not complete: %s", ", ".join(without))
        if again:
            for run in sampled:
                reopen(where, run)
        if all(is_finalised(where, run) for run in sampled):
            error = launch(spec, where, None, 500, analyze_study)
        else:
            with cluster(profile) as running:
                error = launch(spec, where, running, 500, analyze_study)
    if error is not None:
        raise error


@flow(name="kpe analysis", flow_run_name="analysis of {name}", persist_result=False)
def analyze_study(name: str, study: dict[str, Any], store: str, shard_size: int = 500) -> dict[str, Any]:
    """Everything after sampling, for the runs whose trajectories are complete.

    Raises
    ------
    QualityFailed
        when a run fails an error-level expectation: it is quarantined. The other runs are finished first.
    """
    where, spec = Store(store), Spec.model_validate(study)
    started: Started = {}
    work: dict[str, Futures] = {}
    sampled, _ = sampled_runs(where, spec)
    for run in sampled:
        register(where, run)
        if not is_finalised(where, run) and run.run_id not in work:
            # Nothing is missing of its trajectories, so that nothing is sampled.
            work[run.run_id] = submit_run(where, run, shard_size, started)
    return settle(where, spec, {run.label: run for run in sampled}, work, [])
