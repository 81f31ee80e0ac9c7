"""The flow: from a study to answers. Every stage skips what the store already holds."""

from typing import Any

from prefect import flow
from prefect.logging import get_run_logger

from flows.fan_out import Futures, Started, first_error, submit_run, trained
from flows.progress import progress_artifact
from kpe_core.errors import QualityFailed
from kpe_core.stages.compare import comparison_path, pairs
from kpe_core.stages.manifest import is_finalised, remember
from kpe_core.store.store import Store
from kpe_core.study.runs import Run, cells
from kpe_core.study.specs import Study
from tasks.compare import compare
from tasks.judge import judge
from tasks.publish import publish
from tasks.report import report


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
        runs: dict[str, Run] = {}
        started: Started = {}
        work: dict[str, Futures] = {}
        errors: list[BaseException] = []
        for cell, run in trained(where, spec):
            if isinstance(run, BaseException):
                errors.append(run)
                continue
            runs[cell.label] = run
            if not is_finalised(where, run) and run.run_id not in work:
                work[run.run_id] = submit_run(where, run, shard_size, started)
        return settle(where, spec, runs, work, errors, published)


def settle(
    where: Store,
    spec: Study,
    runs: dict[str, Run],
    work: dict[str, Futures],
    errors: list[BaseException],
    published: bool = True,
) -> dict[str, Any]:
    """Wait for the ``work`` on ``runs``, conclude from what went well, then raise the first of what did not.

    Raises
    ------
    QualityFailed, NumericalTrouble
        as ``run_study``.
    """
    broken = {run_id: error for run_id, futures in work.items() if (error := first_error(futures)) is not None}
    in_order = [runs[cell.label] for cell in cells(spec) if cell.label in runs]
    failed = conclude(where, spec, in_order, [run_id for run_id in work if run_id not in broken], published)
    for error in [*errors, *broken.values()]:
        raise error
    if failed:
        labels = {run.run_id: label for label, run in runs.items()}
        raise QualityFailed("; ".join(f"run {labels[i]} ({i}): {', '.join(what)}" for i, what in failed.items()))
    return {"runs": len(runs), "computed": len(work)}


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
