"""The flow: from a study to answers. Every stage skips what the store already holds."""

from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger

from flows.progress import progress_artifact
from kpe_core.errors import QualityFailed
from kpe_core.stages.compare import comparison_path, pairs
from kpe_core.stages.features import create_features, kept_spaces
from kpe_core.stages.manifest import is_finalised, register, remember
from kpe_core.stages.measure import measured
from kpe_core.stages.requirements import missing_trainings, trainings_of
from kpe_core.stages.resolve import resolve
from kpe_core.stages.sample import create_trajectories
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.runs import Run, cells
from kpe_core.study.specs import Study
from tasks.compare import compare
from tasks.features import features
from tasks.judge import judge
from tasks.measure import measure
from tasks.publish import publish
from tasks.report import report
from tasks.sample import sample
from tasks.tabulate import tabulate
from tasks.train import train

Futures = list[PrefectFuture[Any]]
Started = dict[tuple[str, int], PrefectFuture[Any]]
"""What is being computed already, by folder and part, so that runs that need the same share it."""


@flow(name="kpe study", flow_run_name="{name}", persist_result=False)
def run_study(
    name: str, study: dict[str, Any], store: str, shard_size: int = 500, published: bool = True
) -> dict[str, Any]:
    """Train, sample, look at real data, measure, tabulate, judge, compare; and, where ``published``, report and publish.

    Raises
    ------
    QualityFailed
        when a run fails an error-level expectation: it is quarantined.
    NumericalTrouble
        when a field or a training stops making sense. Either way the other runs are finished first.
    """
    where, spec = Store(store), Study.model_validate(study)
    with progress_artifact(where, spec):
        training = {t.recipe: train.submit(store, **t.as_parameters()) for t in missing_trainings(where, spec)}
        runs: dict[str, Run] = {}
        started: Started = {}
        work: dict[str, Futures] = {}
        errors: list[BaseException] = []
        # Cells that wait for no training go first, so that workers have something to do meanwhile.
        for cell in sorted(cells(spec), key=lambda cell: any(t.recipe in training for t in trainings_of(cell))):
            error = first_error([training[t.recipe] for t in trainings_of(cell) if t.recipe in training])
            if error is not None:
                errors.append(error)
                continue
            run = resolve(where, cell)
            assert run is not None
            register(where, run)
            runs[cell.label] = run
            if not is_finalised(where, run) and run.run_id not in work:
                work[run.run_id] = submit_run(where, run, shard_size, started)
        broken = {run_id: error for run_id, futures in work.items() if (error := first_error(futures)) is not None}
        in_order = [runs[cell.label] for cell in cells(spec) if cell.label in runs]
        failed = conclude(where, spec, in_order, [run_id for run_id in work if run_id not in broken], published)
    for error in [*errors, *broken.values()]:
        raise error
    if failed:
        labels = {run.run_id: label for label, run in runs.items()}
        raise QualityFailed("; ".join(f"run {labels[i]} ({i}): {', '.join(what)}" for i, what in failed.items()))
    return {"runs": len(runs), "computed": len(work)}


def submit_run(where: Store, run: Run, shard_size: int, started: Started) -> Futures:
    """Fan out the missing parts of one run: sample, and features of real data → measure → tabulate.

    Futures in the order of their causes.
    """
    plan = create_trajectories(where, run, shard_size)
    args = (where.url, run.run_id, run.label)
    seen = submit_features(where, run, started)
    trajectories = Trajectories(where, run.trajectories_id)
    for shard in trajectories.missing():
        if (trajectories.folder, shard) not in started:
            started[trajectories.folder, shard] = sample.submit(*args, shard)
    sampled = {shard: f for (folder, shard), f in started.items() if folder == trajectories.folder}
    futures: Futures = [*sampled.values(), *seen]
    done = measured(where, run)
    for shard in range(plan.n_shards):
        if shard not in done:
            after = [*seen, *([sampled[shard]] if shard in sampled else [])]
            futures.append(measure.submit(*args, shard, wait_for=after, return_state=False))
    return [*futures, tabulate.submit(*args, wait_for=list(futures), return_state=False)]


def submit_features(where: Store, run: Run, started: Started) -> Futures:
    """Fan out the missing features of real data in the run's spaces."""
    seen: Futures = []
    for space in kept_spaces(run):
        real = create_features(where, run, space)
        for part in real.missing():
            if (real.folder, part) not in started:
                started[real.folder, part] = features.submit(where.url, run.run_id, run.label, space.name, part)
        seen += [f for (folder, _), f in started.items() if folder == real.folder]
    return seen


def first_error(futures: Futures) -> BaseException | None:
    """Wait for all; the first failure's exception, which is the cause of later ones."""
    for future in futures:
        future.wait()
    for future in futures:
        if not future.state.is_completed():
            found = future.result(raise_on_failure=False)
            return found if isinstance(found, BaseException) else RuntimeError(str(future.state.message))
    return None


def conclude(where: Store, spec: Study, runs: list[Run], computed: list[str], published: bool) -> dict[str, list[str]]:
    """Judge what was computed, compare what is paired, report and publish; returns failed expectations by run.

    What is not ``published`` is a step of something larger, such as a tuning, and becomes no study of the store.
    """
    store, failed = where.url, {}
    if computed:
        verdicts = judge.submit(store, computed, spec.model_dump(mode="json"), len(computed)).result()
        failed = {run_id: what for run_id, what in verdicts.items() if what}
    accepted = [run for run in runs if is_finalised(where, run)]
    differences = [
        compare.submit(store, run.run_id, base.run_id, run.label)
        for run, base in pairs(accepted)
        if not where.exists(comparison_path(run, base))
    ]
    if (error := first_error(differences)) is not None:
        raise error
    if published:
        remember(where, spec, runs)
    if published and accepted:
        made = report.submit(store, spec.model_dump(mode="json"))
        publish.submit(store, spec.model_dump(mode="json"), wait_for=[made], return_state=False).result()
    get_run_logger().info("%d runs, %d computed now, %d quarantined", len(runs), len(computed), len(failed))
    return failed
