"""The simulation against what can be said without one: closed forms, and bounds that hold for every list schedule."""

import itertools
import math
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpe_core.planning.forecast import (
    MEASURING,
    OVERHEAD,
    SAMPLING,
    SERIAL,
    SHARDS,
    STORE,
    SUBMISSION,
    TRAINING,
    forecasts,
)
from kpe_core.planning.simulation import simulate
from kpe_core.planning.work import RunWork, Site, Work


def run(samples: int = 1000, shard_size: int = 100, sampling: float = 0.01, **more: float) -> RunWork:
    values = {"measuring": 0.0, "written": 0.0} | more
    return RunWork("run", samples, 10, shard_size, sampling, **values)  # type: ignore[arg-type]


def wall(work: Work, workers: int = 1, **more: float) -> float:
    return simulate(work, Site(workers, **more)).wall  # type: ignore[arg-type]


def test_one_worker_takes_the_sum_of_all() -> None:
    one = run(1050, measuring=0.004, tabulating=3.0)
    work = Work((one, replace(one, samples=77)), serial=(("checks", 5.0), ("report", 2.0)))
    tasks = 2 * 11 + 1 + 2 * 1 + 1
    assert work.tasks == tasks
    expected = 1127 * (0.01 + 0.004) + 2 * 3.0 + 7.0
    assert wall(work) == pytest.approx(expected)
    assert wall(work, overhead=0.5, startup=11.0, warmup=4.0) == pytest.approx(expected + 0.5 * tasks + 15.0)


@given(shards=st.integers(1, 60), workers=st.integers(1, 80))
def test_equal_shards_come_in_waves(shards: int, workers: int) -> None:
    work = Work((run(100 * shards),))
    assert wall(work, workers) == pytest.approx(math.ceil(shards / workers) * 1.0)


def test_a_slow_store_takes_bytes_over_bandwidth() -> None:
    work = Work((run(10_000, written=1e6, read=1e5),))
    assert wall(work, 1024, bandwidth=1e7) == pytest.approx(work.bytes / 1e7)
    assert work.bytes == 10_000 * 1.1e6


def test_a_store_that_one_worker_does_not_fill_slows_nobody() -> None:
    work = Work((run(1000, written=1e6),))  # 100 MB in a second
    assert wall(work, bandwidth=1e8) == pytest.approx(10.0) == pytest.approx(wall(work))
    assert wall(work, 2, bandwidth=1e8) == pytest.approx(10.0)
    assert wall(work, 2, bandwidth=2e8) == pytest.approx(5.0)
    assert wall(work, 4, bandwidth=2e8) == pytest.approx(5.0)


def test_a_slow_driver_takes_its_time_for_every_task() -> None:
    work = Work((run(10_000, sampling=1e-6),))
    assert wall(work, 1024, submission=0.05) == pytest.approx(work.tasks * 0.05)


def test_workers_warm_up_at_once() -> None:
    assert wall(Work((run(800),)), 4, warmup=7.0) == pytest.approx(2.0 + 7.0)


def test_runs_wait_for_their_network_and_others_do_not() -> None:
    work = Work((run(after=0), run()), trainings=(20.0,))
    assert wall(work) == pytest.approx(40.0)
    # One trains, the other samples what waits for nothing; then both sample the rest.
    assert wall(work, 2) == pytest.approx(20.0 + 5.0)
    assert simulate(work, Site(2)).trained == pytest.approx(20.0)
    assert wall(work, 2, speed=10.0) == pytest.approx(2.5)


def test_gpus_sample_while_workers_measure() -> None:
    work = Work((run(1000, sampling=0.01, measuring=0.01),))
    assert wall(work, 1, gpus=1) == pytest.approx(11.0)  # the last shard is measured after it is sampled
    assert wall(work, 1, gpus=10) == pytest.approx(1.0 + 10.0)
    assert wall(work, 1, gpus=1, speed=100.0) == pytest.approx(0.01 + 10.0)


def test_one_slow_shard_holds_up_everybody() -> None:
    even, uneven = Work((run(400),)), Work((run(400),), spread=(0.5, 0.5, 0.5, 2.5))
    assert wall(even, 4) == pytest.approx(1.0)
    assert wall(uneven, 4) == pytest.approx(2.5)
    assert wall(uneven) == pytest.approx(wall(even))


anything = st.builds(
    run,
    samples=st.integers(1, 3000),
    shard_size=st.sampled_from([10, 50, 200, 1000]),
    sampling=st.floats(0, 0.1),
    measuring=st.floats(0, 0.1),
    written=st.floats(0, 1e6),
    tabulating=st.floats(0, 50),
)
studies = st.builds(
    Work,
    runs=st.lists(anything, min_size=1, max_size=4).map(tuple),
    spread=st.lists(st.floats(0.5, 2), min_size=1, max_size=7).map(tuple),
)


@given(studies, st.integers(1, 200))
def test_no_schedule_is_outside_grahams_bounds(work: Work, workers: int) -> None:
    """Work / N and the longest chain are below any schedule; their sum is above any that leaves nobody idle needlessly."""
    total = wall(work)
    chains, turn = [], 0
    for r in work.runs:
        shards = []
        for shard in range(r.shards):
            factor = work.spread[turn % len(work.spread)]
            shards.append(r.rows(shard) * (r.sampling + r.measuring) * factor)
            turn += 1
        chains.append(max(shards) + r.tabulating)
    found = wall(work, workers)
    assert found >= max(total / workers, max(chains)) * (1 - 1e-9)
    assert found <= (total / workers + max(chains)) * (1 + 1e-9)


@given(studies, st.integers(1, 64), st.floats(1e4, 1e9), st.floats(0, 1))
def test_a_worse_store_or_driver_bounds_from_below(
    work: Work, workers: int, bandwidth: float, submission: float
) -> None:
    found = wall(work, workers, bandwidth=bandwidth, submission=submission)
    assert found >= max(work.bytes / bandwidth, work.tasks * submission) * (1 - 1e-9)


@given(
    st.integers(1, 50), st.floats(0.001, 0.1), st.floats(0, 1e6), st.floats(0, 0.1), st.floats(0, 0.5), st.floats(1e5, 1e9)
)  # fmt: skip
def test_more_workers_are_never_slower_where_shards_are_equal(
    shards: int, sampling: float, written: float, submission: float, overhead: float, bandwidth: float
) -> None:
    work = Work((run(100 * shards, sampling=sampling, written=written),))
    sites = [Site(2**k, submission=submission, overhead=overhead, bandwidth=bandwidth) for k in range(8)]
    walls = [simulate(work, site).wall for site in sites]
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(walls))


@given(studies, st.integers(1, 64))
def test_the_same_again_is_the_same(work: Work, workers: int) -> None:
    site = Site(workers, bandwidth=1e7, submission=0.01, overhead=0.1, startup=5, warmup=2)
    assert simulate(work, site) == simulate(work, site)


def test_ten_million_samples_on_a_thousand_workers_take_seconds() -> None:
    work = Work((run(10**7, 500, 0.02, measuring=0.001, written=1e4),))
    started = time.process_time()
    found = simulate(work, Site(1024, submission=0.001, overhead=0.2))
    assert time.process_time() - started < 5
    assert found.wall > (work.sampling_seconds + work.measuring_seconds) / 1024


@pytest.mark.parametrize(
    ("work", "site", "bottleneck"),
    [
        (Work((run(100_000),)), Site(8, startup=5), SAMPLING),
        (Work((run(100_000, sampling=0.001, measuring=0.02),)), Site(8), MEASURING),
        (Work((run(100_000, sampling=1e-4, measuring=0.02),)), Site(8, gpus=8), MEASURING),
        (Work((run(100_000, sampling=1e-5),)), Site(8, overhead=0.3), OVERHEAD),
        (Work((run(100_000, written=1e6),)), Site(64, bandwidth=1e8), STORE),
        (Work((run(100_000),)), Site(1024, submission=0.06), SUBMISSION),
        (Work((run(100),), serial=(("report", 60.0),)), Site(4, startup=20), SERIAL),
        (Work((run(100, tabulating=60.0),)), Site(64), SERIAL),
        (Work((run(1000, 500, 1.0),)), Site(64), SHARDS),
        (Work((run(1000, after=0),), trainings=(500.0,)), Site(16), TRAINING),
    ],
)
def test_what_holds_it_up_is_named(work: Work, site: Site, bottleneck: str) -> None:
    [found] = forecasts(work, [site])
    assert found.bottleneck == bottleneck
    assert found.shares[bottleneck] > 0.5


def test_shares_are_of_the_wall_time() -> None:
    [found] = forecasts(Work((run(1000),), serial=(("report", 30.0),)), [Site(2)])
    assert found.outcome.wall == pytest.approx(35.0)
    assert found.shares[SAMPLING] == pytest.approx(5 / 35)
    assert found.shares[SERIAL] == pytest.approx(30 / 35)
    assert found.speedup == pytest.approx(40 / 35)
    assert found.efficiency == pytest.approx(20 / 35)


def test_other_shards_are_advised_where_they_help() -> None:
    few, many = Work((run(1000, 500, 1.0),)), Work((run(100_000, 10, 1e-4),))
    [idle, busy] = forecasts(few, [Site(50), Site(2)])
    assert idle.better_size is not None
    assert idle.better_size < 500
    assert idle.better_wall == pytest.approx(simulate(few.with_shard_size(idle.better_size), idle.site).wall)
    assert busy.better_size is None
    [overhead] = forecasts(many, [Site(4, overhead=0.3)])
    assert overhead.better_size is not None
    assert 10 < overhead.better_size < 2 * 100_000


@pytest.mark.parametrize(
    "values",
    [
        {"workers": 0},
        {"workers": -1},
        {"workers": 1, "gpus": -1},
        {"workers": 1, "speed": 0.0},
        {"workers": 1, "speed": math.nan},
        {"workers": 1, "bandwidth": -5.0},
        {"workers": 1, "bandwidth": math.nan},
        {"workers": 1, "overhead": -0.1},
        {"workers": 1, "startup": math.inf},
    ],
)
def test_sites_that_cannot_be(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="no such site"):
        Site(**values)  # type: ignore[arg-type]
