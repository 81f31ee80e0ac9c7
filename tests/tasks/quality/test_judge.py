"""The gate passes what is right, and catches each injected fault by a named expectation that says where."""

import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kpe_core.sampling.noise import initial_noise
from kpe_core.stages import sample as sampling
from kpe_core.stages.manifest import is_finalised
from kpe_core.store.schema import CHECKS
from kpe_core.store.store import Store
from tasks.quality import judge as stage
from tasks.quality.judge import judge
from tests.tasks.quality import faults
from tests.tasks.quality.bench import Bench, make_run

Copy = Callable[..., Bench]


@pytest.mark.parametrize("kind", ["exact", "conditional", "semantic"])
def test_a_right_run_passes_and_becomes_visible(bench: Copy, kind: str) -> None:
    b = bench(kind)
    assert judge(b.store, [b.run], "test") == {b.run.run_id: []}
    assert is_finalised(b.store, b.run)
    assert not b.store.exists(f"runs/{b.run.run_id}/quarantine.json")
    assert b.table("checks").schema.equals(CHECKS)
    assert all(row["success"] for row in b.checks().values() if row["severity"] == "error")
    assert b.store.read_json(f"runs/{b.run.run_id}/manifest.json")["tables"].keys() >= {"samples", "checks"}


ODD = {
    "four samples, one step, nothing stored": {"sampling": {"n_samples": 4, "nfe": 1, "states": {"keep": "none"}}},
    "one sample, no densities": {"sampling": {"n_samples": 1}, "measure": {"densities": []}},
    "strong shaping on a cosine grid": {
        "sampling": {"grid": "cosine", "shapings": {"alpha0": 2.0, "beta0": 1.0, "landing": "linear"}}
    },
    "a few coarse steps of Heun": {"sampling": {"solvers": "heun", "nfe": 6, "grid": "cosine"}},
}


@pytest.mark.parametrize("choices", ODD.values(), ids=ODD)
def test_odd_but_right_runs_pass(tmp_path: Path, choices: dict[str, Any]) -> None:
    store = Store.create_or_open(str(tmp_path))
    run = make_run(store, "odd", **choices)
    assert judge(store, [run], "test") == {run.run_id: []}


def test_exact_copies_pass_with_their_infinite_density(tmp_path: Path) -> None:
    store = Store.create_or_open(str(tmp_path))
    nearest_alone = {"densities": [{"estimator": "knn", "k": 1}]}
    run = make_run(store, "copies", measure=nearest_alone, data={"name": "dense_sparse", "n_train": 2})
    b = Bench(store, run)
    assert np.isinf(b.table("densities")["log_density"].to_numpy()).any()
    assert (b.table("samples")["d1"].to_numpy() == 0).any()
    assert judge(store, [run], "test") == {run.run_id: []}


# -- faults ----------------------------------------------------------------------------------------------------------


FAULTS: list[tuple[Callable[[Bench], None], str, list[str]]] = [
    (faults.nan_kpe, "exact", [
        "samples: every value is there and finite, but 1 of 50 samples: 7 (kpe)",
        "scores: f_mem and mean kpe are those of the samples, but 1 of 4 rows: kpe (inf)",
    ]),
    (faults.nan_power, "exact", ["steps: every value of a step is finite, but 1 of 50 samples: 7 (1)"]),
    (faults.twice_the_same_sample, "exact", [
        "samples: no sample appears twice, but 2 of 51 samples: 7, 7",
        "samples: no row is missing, none too many, but 51 rows (allowed: 50 rows)",
    ]),
    (faults.lost_sample, "exact", ["samples: no row is missing, none too many, but 49 rows"]),
    (faults.lost_step, "exact", ["steps: each sample has every step, but 1 of 50 samples: 7 (9)"]),
    (faults.lost_marker, "exact", ["shards: every sample is in a committed shard, but 1 of 2 rows: 25 (0)"]),
    (faults.kpe_off_by_one_percent, "exact", [
        "steps: kpe is the sum over the steps, but 1 of 50 samples: 7 (0.00990099)",
        "samples: early and late energy add up to kpe, but 1 of 50 samples: 7",
        "scores: f_mem and mean kpe are those of the samples, but 1 of 4 rows: kpe",
    ]),
    (faults.every_energy_off_by_one_percent, "exact", [
        "steps: kpe is the sum over the steps, but 50 of 50 samples: 0 (0.00990099), 1 (",
    ]),
    (faults.every_power_off_by_one_percent, "exact", [
        "states: power at t = 0 is that of the run's field, at the seed's noise and for the class asked for, "
        "but 50 of 50 samples: 0 (0.0",
        "states: power midway is that of the run's field at the stored state, but 50 of 50 samples: 0 (0.0",
    ]),
    (faults.too_little_energy, "exact", [
        "samples: kpe is at least half the squared displacement, but 1 of 50 samples: 7",
    ]),
    (faults.noise_of_another_seed, "exact", ["states: the stored x(0) is the seed's noise, but 2 of 50 samples: 7 ("]),
    (faults.label_out_of_range, "conditional", [
        "samples: labels are classes of the data set, but 1 of 50 samples: 7 (99)",
        "samples: labels are the classes asked for, but 1 of 50 samples: 7 (False)",
    ]),
    (faults.label_out_of_range, "exact", ["samples: nothing was asked for by class, but 1 of 50 samples: 7 (99)"]),
    (faults.labels_swapped, "conditional", [
        "samples: labels are the classes asked for, but 2 of 50 samples: 7 (False), 8 (False)",
    ]),
    (faults.trajectory_labels_swapped, "conditional", [
        "samples: the trajectories' labels are the classes asked for, but 2 of 50 samples: 7 (False), 8 (False)",
    ]),
    (faults.asked_for_another_class, "conditional", [
        "states: power at t = 0 is that of the run's field, at the seed's noise and for the class asked for, "
        "but 2 of 50 samples: 7 (",
    ]),
    (faults.trajectory_of_another_run, "exact", [
        "states: the last stored state is x(1), but 1 of 50 samples: 7 (",
    ]),
    (faults.everything_of_another_run, "exact", [
        "states: power at t = 0 is that of the run's field, at the seed's noise and for the class asked for, "
        "but 1 of 50 samples: 7 (",
    ]),
    (faults.wrong_d1, "exact", [
        "states: d1 is the distance to the training point named nearest, but 1 of 50 samples: 7 (0.001001",
        "states: d1 and d2 are the two smallest distances to training points, but 1 of 50 samples: 7 (0.001)",
    ]),
    (faults.second_nearest_for_nearest, "exact", [
        "states: d1 and d2 are the two smallest distances to training points, but 1 of 50 samples: 7 (",
    ]),
    (faults.weight_above_one, "exact", ["steps: posterior weights are at most 1, but 1 of 50 samples: 7 (1.2)"]),
    (faults.density_of_another_data_set, "exact", [
        "densities: log densities are those under the run's own training points, "
        "but 1 of 150 rows: 7 data knn(k=5) (",
    ]),
    (faults.density_of_nobody, "exact", [
        "densities: densities belong to samples that exist, but 1 of 150 rows: 50 data knn(k=5)",
    ]),
    (faults.several_at_once, "exact", [
        "shards: no sample is in two shards, but 1 of 2 rows: 0 (2)",
        "densities: log densities are finite, but for exact copies, but 1 of 150 rows: 7 data knn(k=5)",
        "samples: the nearest point is one of the training points, but 1 of 50 samples: 7 (1000000)",
        "samples: the nearest training point is nearer than the second nearest, but 1 of 50 samples: 7",
        "densities: rows belong to this run, but 3 of 150 rows: 7 data knn(k=5) (someone)",
        "scores: every metric is there, but missing: f_mem",
    ]),
    (faults.lost_features, "semantic", [
        "features: no row is missing, none too many, but 49 rows",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "kind", "messages"), FAULTS, ids=[f"{f[0].__name__}-{f[1]}" for f in FAULTS])
def test_a_fault_is_named_and_quarantined(
    bench: Copy, spoil: Callable[[Bench], None], kind: str, messages: list[str]
) -> None:
    b = bench(kind)
    spoil(b)
    failed = judge(b.store, [b.run], "test")[b.run.run_id]
    for message in messages:
        assert any(text.startswith(message) for text in failed), "\n".join(failed)
    assert not is_finalised(b.store, b.run)
    assert b.store.read_json(f"runs/{b.run.run_id}/quarantine.json")["failed"] == failed


def test_wrong_noise_is_seen_even_where_no_state_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "initial_noise", lambda seed, *rest: initial_noise(seed + 1, *rest))
    store = Store.create_or_open(str(tmp_path))
    run = make_run(store, "wrong-seed", sampling={"states": {"keep": "none"}})
    failed = judge(store, [run], "test")[run.run_id]
    assert [text.split(", but ")[0] for text in failed] == [
        "states: x(1) lies one displacement from the seed's noise",
        "states: power at t = 0 is that of the run's field, at the seed's noise and for the class asked for",
    ]


# -- again and again -------------------------------------------------------------------------------------------------


def test_a_warning_is_shown_and_keeps_nothing_back(bench: Copy) -> None:
    b = bench()
    b.change("samples", lambda f: f.assign(kpe_error=0.5 * f["kpe"]))
    assert judge(b.store, [b.run], "test") == {b.run.run_id: []}
    row = b.checks()["samples", "the quadrature error is below 1 % of kpe for 95 % of the samples"]
    assert (row["success"], row["severity"]) == (False, "warning")
    assert row["observed"].startswith("50 of 50 samples: 0 (0.5), 1 (0.5)")


def test_sums_over_the_grid_do_not_judge_the_adaptive_solver(tmp_path: Path) -> None:
    """On four intervals they are off by far more than its own."""
    store = Store.create_or_open(str(tmp_path))
    run = make_run(store, "adaptive", sampling={"solvers": "dopri5", "nfe": 4, "n_samples": 25})
    b = Bench(store, run)
    samples = b.table("samples").to_pandas()
    assert (samples["kpe_error"] > 0.01 * samples["kpe"]).mean() > 0.05
    assert judge(store, [run], "test") == {run.run_id: []}
    assert all(row["success"] for row in b.checks().values() if row["suite"] == "samples")


def test_a_few_rough_samples_are_counted_without_a_warning(bench: Copy) -> None:
    b = bench()
    b.change("samples", lambda f: f.assign(kpe_error=f["kpe"].where(f["sample"] < 2, 0.0)))
    judge(b.store, [b.run], "test")
    row = b.checks()["samples", "the quadrature error is below 1 % of kpe for 95 % of the samples"]
    assert (row["success"], row["observed"]) == (True, "2 of 50 samples beyond")


def test_a_finalised_run_is_left_alone(bench: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    b = bench()
    judge(b.store, [b.run], "test")
    before = b.store.read(f"runs/{b.run.run_id}/manifest.json")
    monkeypatch.setattr(stage, "check_runs", lambda *_: pytest.fail("checked again"))
    assert judge(b.store, [b.run, b.run], "another") == {b.run.run_id: []}
    assert b.store.read(f"runs/{b.run.run_id}/manifest.json") == before


def test_a_mended_run_is_judged_again_and_let_go(bench: Copy) -> None:
    b = bench()
    whole = b.table("samples")
    faults.nan_kpe(b)
    assert judge(b.store, [b.run], "test")[b.run.run_id]
    b.change("samples", lambda _: whole.to_pandas())
    assert judge(b.store, [b.run], "test") == {b.run.run_id: []}
    assert is_finalised(b.store, b.run)
    assert not b.store.exists(f"runs/{b.run.run_id}/quarantine.json")


def test_checks_are_the_same_every_time(bench: Copy) -> None:
    b = bench()
    judge(b.store, [b.run], "test")
    first = b.store.read(f"runs/{b.run.run_id}/tables/checks.parquet")
    b.store.remove(f"runs/{b.run.run_id}/manifest.json")
    judge(b.store, [b.run], "test")
    assert b.store.read(f"runs/{b.run.run_id}/tables/checks.parquet") == first


def test_object_stores_are_judged_the_same() -> None:
    store = Store.create_or_open(f"memory://{uuid.uuid4().hex}")
    run = make_run(store, "remote", sampling={"n_samples": 4, "nfe": 1})
    assert judge(store, [run], "test") == {run.run_id: []}
    assert store.list("quality/docs") == ["index.html", "runs"]


def test_importing_the_stage_does_not_import_great_expectations() -> None:
    code = "import sys, tasks.quality.judge; sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
