"""Figures from a store that was run into, and from none."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kpe_core.planning import builtin
from kpe_core.planning.calibration import calibrated
from kpe_core.planning.measured import Measured, _submission, flow_runs
from kpe_core.planning.work import Site
from kpe_core.stages.measure import measuring_seconds
from kpe_core.stages.plan import plan
from kpe_core.stages.resolve import resolve
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.load import load_study
from kpe_core.study.runs import cells
from kpe_core.study.specs import Study
from kpe_core.telemetry.record import CellRecord, StatusRecord
from kpe_core.telemetry.table import ClusterLoad, TelemetryTable, WorkerLoad
from tests.conftest import run_serially


@pytest.fixture(scope="module")
def planar(tiny_file: Path) -> Study:
    """The tiny study's run that nothing is trained for."""
    study = load_study(str(tiny_file))
    return study.model_copy(update={"experiments": study.experiments[:1]})


@pytest.fixture(scope="module")
def store(planar: Study, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """With markers that say 2 s for a shard of 60 samples, the last 4 s."""
    where = Store.create_or_open(str(tmp_path_factory.mktemp("planning")))
    [run] = run_serially(planar, where)
    trajectories = Trajectories(where, run.trajectories_id)
    for shard in range(4):
        trajectories.commit(shard, trajectories.marker(shard) | {"seconds": 4.0 if shard == 3 else 2.0})
    return where


def test_measurements_tell_how_long_they_took(planar: Study, store: Store) -> None:
    run = resolve(store, next(iter(cells(planar))))
    assert run is not None
    told = measuring_seconds(store, run.run_id, "00000.parquet")
    assert told is not None
    assert told[0] == 60
    assert 0 < told[1] < 60


def test_tables_do_not_tell_so(store: Store) -> None:
    [run] = store.list("runs")
    for name in store.list(f"runs/{run}/tables"):
        assert b"kpe.seconds" not in (store.read_table(f"runs/{run}/tables/{name}").schema.metadata or {})


def test_the_same_kind_of_run_takes_what_it_took(planar: Study, store: Store) -> None:
    more = load_more(planar, n_samples=100_000, seed=7)
    found = calibrated(plan(more, 60), store, 60, Site(1))
    [work] = found.work.runs
    assert work.sampling == pytest.approx(10 / 240)
    assert found.work.sampling_seconds == pytest.approx(100_000 * 10 / 240)
    assert sorted(found.work.spread) == pytest.approx(sorted(_scaled([2, 2, 2, 4])), rel=0.2)
    assert sum(found.work.spread) / len(found.work.spread) == pytest.approx(1)
    assert found.told[0] == "sampling: calibrated from 4 shards of 1 run on cpu"
    assert found.unmeasured == ()


def test_other_nfe_take_as_much_an_evaluation(planar: Study, store: Store) -> None:
    doubled = load_more(planar, nfe=40)
    [cell] = cells(doubled)
    rate = Measured(store).sampling(cell)
    assert rate is not None
    marker = Trajectories(store, store.list("trajectories")[0]).marker(0)
    assert rate.seconds == pytest.approx(10 / (4 * marker["evaluations"]) * 40)


def test_other_fields_and_devices_are_not_told_of(planar: Study, store: Store) -> None:
    [cell] = cells(planar)
    assert Measured(store).sampling(cell) is not None
    assert Measured(store, on_gpu=True).sampling(cell) is None
    elsewhere = load_more(planar, data="multiscale_clusters")
    assert Measured(store).sampling(next(iter(cells(elsewhere)))) is None


def test_an_empty_store_is_not_made_and_built_in_figures_are_named(planar: Study, tmp_path: Path) -> None:
    found = calibrated(plan(planar, 60), Store(str(tmp_path / "none")), 60, Site(8, bandwidth=1e8))
    assert not (tmp_path / "none").exists()
    assert found.unmeasured == ("planar",)
    assert all("not measured here" in told or "built-in" in told for told in found.told)
    assert found.site.overhead == builtin.OVERHEAD
    assert found.site.bandwidth == 1e8
    [work] = found.work.runs
    assert work.sampling > 0
    assert work.shards == 4


def test_networks_are_trained_first(tiny: Study, tmp_path: Path) -> None:
    found = calibrated(plan(tiny, 60), Store(str(tmp_path / "none")), 60, Site(8))
    assert [run.after for run in found.work.runs] == [None, 0, 0]
    assert found.work.trainings[0] > 0


def test_a_flow_runs_telemetry_tells_of_overhead_and_tail(planar: Study, store: Store) -> None:
    """Two workers, 8 tasks that say 10 s of sampling; the last ends between 15 and 20 s; 3 s pass before the first."""
    [run], [trajectories] = store.list("runs"), store.list("trajectories")
    started = datetime(2026, 1, 1, tzinfo=UTC)
    table = TelemetryTable(store, planar.name, started, 240)
    workers = tuple(WorkerLoad(name, 1, 1, 1) for name in "ab")
    for at in range(0, 21, 5):
        table.add(float(at), ClusterLoad(workers, waiting=3), 12 * at, 0)
    # The publication waits for the report, when no shard does any more.
    table.add(30.0, ClusterLoad(workers, waiting=1), 240, 0)
    table.add(35.0, ClusterLoad(tuple(WorkerLoad(name, 1, 0, 0) for name in "ab")), 240, 0)
    table.write()
    StatusRecord(
        planar.name, started.isoformat(), started.isoformat(), 30, started.isoformat(),
        cells=(CellRecord("planar", 240, run, f"trajectories/{trajectories}"),),
    ).written(store)  # fmt: skip
    measuring = sum(measuring_seconds(store, run, f"{i:05d}.parquet")[1] for i in range(4))  # type: ignore[index]
    [flow] = flow_runs(store)
    assert flow.overhead == pytest.approx((2 * (17.5 - 3) - 10 - measuring) / 8)
    assert flow.warmup == pytest.approx(3)
    assert flow.tail == pytest.approx(35 - 17.5)
    found = calibrated(plan(planar, 60), store, 60, Site(1))
    assert found.site.overhead == pytest.approx(flow.overhead)
    # The same study's tail is predicted as it was.
    [work] = found.work.runs
    assert work.tabulating + sum(seconds for _, seconds in found.work.serial) == pytest.approx(35 - 17.5)
    assert "from the telemetry of 1 flow run" in found.told[2]


def test_the_queue_tells_how_fast_the_driver_submits() -> None:
    looks = [{"elapsed": 5.0 * i, "queued": q, "samples": s} for i, (q, s) in enumerate(
        [(0, 0), (10, 0), (110, 0), (210, 0), (240, 0), (240, 0), (230, 60)])]  # fmt: skip
    assert _submission(looks) == pytest.approx(0.05)
    assert _submission(looks[:2] + looks[4:]) is None
    assert _submission([]) is None


def load_more(study: Study, data: str | None = None, **sampling: int) -> Study:
    said = json.loads(study.model_dump_json())
    said["experiments"][0]["sampling"] |= sampling
    if data is not None:
        said["experiments"][0]["data"]["name"] = data
    return Study.model_validate(said)


def _scaled(values: list[float]) -> list[float]:
    mean = sum(values) / len(values)
    return [v / mean for v in values]
