"""A study's work in seconds: as measured in a store where it can tell, else as timed here and by built-in figures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kpe_core.data.datasets import load
from kpe_core.planning import builtin
from kpe_core.planning.measured import FlowRun, Measured, Rate, flow_runs
from kpe_core.planning.work import RunWork, Site, Work
from kpe_core.stages.plan import Cost, StudyPlan
from kpe_core.store.store import Store
from kpe_core.store.trajectories import shard_size_for
from kpe_core.study.specs import NetworkField

STRAGGLERS = 64
"""Relative times kept, so that stragglers are as frequent and as slow as they were."""


@dataclass(frozen=True)
class Calibrated:
    """``told``: a sentence for each sort of figure, which says where it comes from."""

    work: Work
    site: Site
    told: tuple[str, ...]
    unmeasured: tuple[str, ...]
    """Runs whose sampling the store does not tell of."""


def calibrated(plan: StudyPlan, store: Store, shard_size: int, site: Site) -> Calibrated:
    """``site`` with its overheads, and what there is to do there."""
    measured = Measured(store, on_gpu=site.gpus > 0)
    sampling = {cost.cell.label: measured.sampling(cost.cell) for cost in plan.costs}
    measuring = {cost.cell.label: measured.measuring(cost.cell) for cost in plan.costs}
    flows = list(flow_runs(store))
    tail, factor = _tail(plan, flows)
    networks = list(plan.networks)
    runs = tuple(
        _run(cost, sampling[cost.cell.label], measuring[cost.cell.label], shard_size, networks, factor)
        for cost in plan.costs
    )
    relative = [t for rate in sampling.values() if rate is not None for t in rate.relative]
    trainings = (*plan.networks.values(), *([plan.spaces_seconds] if plan.spaces_seconds else []))
    overhead = float(np.median([f.overhead for f in flows])) if flows else builtin.OVERHEAD
    warmup = float(np.median([f.warmup for f in flows])) if flows else builtin.WARMUP
    submissions = [f.submission for f in flows if f.submission is not None]
    submission = float(np.median(submissions)) if submissions else builtin.SUBMISSION
    told = (
        _told("sampling", sampling, f"on {', '.join(sorted(measured.devices))}", "timed here on one batch each"),
        _told("measuring", measuring, "", "timed here on a few samples each"),
        _told_of_flows("overhead of tasks", flows, f"{overhead:.2f} s a task and {warmup:.0f} s a worker"),
        _told_of_flows("tables, checks, report", flows, f"{factor:.1f} times the built-in figures"),
        _told_of_flows("driver's submission", submissions, f"{submission:.3f} s a task"),
        f"start: not measured here, built-in figure of {builtin.STARTUP:.0f} s",
    )
    unmeasured = tuple(label for label, rate in sampling.items() if rate is None)
    site = Site(
        site.workers, site.gpus, site.speed, site.bandwidth,
        startup=builtin.STARTUP, warmup=warmup, submission=submission, overhead=overhead,
    )  # fmt: skip
    return Calibrated(Work(runs, trainings, tail, _spread(relative)), site, told, unmeasured)


def _run(
    cost: Cost,
    sampling: Rate | None,
    measuring: Rate | None,
    shard_size: int,
    networks: Sequence[object],
    factor: float,
) -> RunWork:
    cell = cost.cell
    fixed, each = builtin.TABULATING
    return RunWork(
        label=cell.label,
        samples=cell.n_samples,
        batch=cell.batch,
        shard_size=shard_size_for(cell, shard_size),
        sampling=sampling.seconds if sampling is not None else cost.sampling_seconds / cell.n_samples,
        measuring=measuring.seconds if measuring is not None else cost.measuring_seconds / cell.n_samples,
        written=cost.bytes / cell.n_samples,
        read=4.0 * load(cell.data).dim,
        tabulating=factor * (fixed + each * cell.n_samples),
        after=networks.index((cell.data, cell.field)) if isinstance(cell.field, NetworkField) else None,
    )


def _tail(plan: StudyPlan, flows: list[FlowRun]) -> tuple[tuple[tuple[str, float], ...], float]:
    """Serial stages, and by which factor flow runs differ from the built-in figures."""
    runs, samples = len(plan.costs), sum(cost.cell.n_samples for cost in plan.costs)
    compared = sum(not cost.cell.shaping.is_plain for cost in plan.costs)
    factors = [f.tail / (_last_tables(f.samples, f.runs) + sum(_serial(f.runs, f.samples))) for f in flows]
    factor = float(np.median(factors)) if factors else 1.0
    checking, reporting = _serial(runs, samples)
    stages = (("checks", checking), ("comparisons", builtin.COMPARING * compared), ("report", reporting))
    return tuple((name, factor * seconds) for name, seconds in stages), factor


def _serial(runs: int, samples: int) -> tuple[float, float]:
    more = builtin.EXAMINING * samples
    return tuple(fixed + each * runs + more for fixed, each in (builtin.CHECKING, builtin.REPORTING))  # type: ignore[return-value]


def _last_tables(samples: int, runs: int) -> float:
    """Seconds of the tables that are made when nothing else is left to do."""
    fixed, each = builtin.TABULATING
    return fixed + each * samples / runs


def _spread(relative: list[float]) -> tuple[float, ...]:
    """At most STRAGGLERS quantiles of mean 1, in an order that is always the same and no pattern."""
    if not relative:
        return (1.0,)
    n = min(STRAGGLERS, len(relative))
    found = np.quantile(relative, (np.arange(n) + 0.5) / n)
    found = np.random.default_rng(0).permutation(found / found.mean())
    return tuple(float(x) for x in found)


def _told(what: str, rates: dict[str, Rate | None], where: str, otherwise: str) -> str:
    known = [rate for rate in rates.values() if rate is not None]
    sources = {rate.source: rate for rate in known}.values()
    shards, runs = sum(rate.shards for rate in sources), sum(rate.runs for rate in sources)
    if not known:
        return f"{what}: not measured here, {otherwise}"
    said = f"{what}: calibrated from {shards} shards of {runs} run{'s' * (runs != 1)} {where}".rstrip()
    missing = len(rates) - len(known)
    return said if not missing else f"{said}; of {missing} of {len(rates)} runs not measured here, {otherwise}"


def _told_of_flows(what: str, flows: Sequence[object], value: str) -> str:
    if not flows:
        return f"{what}: not measured here, built-in figures"
    return f"{what}: {value}, from the telemetry of {len(flows)} flow run{'s' * (len(flows) != 1)}"
