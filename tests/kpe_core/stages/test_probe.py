"""The probe against an independent answer: classical Runge–Kutta on a fine grid, from the same noise."""

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from kpe_core.data.datasets import load
from kpe_core.fields.efm import ExactField
from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.noise import initial_noise
from kpe_core.sampling.path import follow
from kpe_core.stages.probe import is_probed, probe_scores, probe_size
from kpe_core.stages.resolve import resolve
from kpe_core.stages.sample import course_of
from kpe_core.stages.tabulate import table_path
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.runs import Run, cells
from kpe_core.study.specs import Study
from kpe_core.threads import one_thread
from tests.conftest import run_serially

SAMPLING = {"n_samples": 30, "nfe": [10, 40], "batch": 30, "shapings": [{"alpha0": 0.2, "beta0": 0.01}]}
MEASURE = {"bootstrap": 100, "densities": [], "probe": 20}
DIGITS = {"name": "digits", "n_train": 64, "prepare": {"scaling": "symmetric"}}


def study(sampling: dict[str, Any], measure: dict[str, Any], **field: Any) -> Study:
    one = {
        "name": "probed", "data": DIGITS, "fields": {"kind": "exact", **field}, "sampling": SAMPLING | sampling,
        "measure": MEASURE | measure,
    }  # fmt: skip
    return Study.model_validate({"name": "probe", "experiments": [one]})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[Run]]:
    store = Store.create_or_open(str(tmp_path_factory.mktemp("probe")))
    return store, run_serially(study({}, {}), store)


def scores(store: Store, run: Run) -> dict[str, dict[str, Any]]:
    return {row["metric"]: row for row in store.read_table(table_path(run, "scores")).to_pylist()}


def kpe(store: Store, run: Run) -> np.ndarray:
    return np.asarray(Trajectories(store, run.trajectories_id).group()["kpe"][:20])


@functools.cache
def truth(run: Run) -> np.ndarray:
    """kpe of the first 20 samples by RK4 in 400 steps."""
    prepared = load(run.data)
    x0 = torch.from_numpy(initial_noise(run.seed, 0, 20, prepared.dim))
    fine = replace(course_of(run), solver="rk4", times=time_grid("uniform", 400))
    with one_thread():
        return follow(ExactField(torch.from_numpy(prepared.points)), x0, None, fine, run.energy_split).energies.kpe


def test_bias_and_rank_are_those_against_a_fine_solution(made: tuple[Store, list[Run]]) -> None:
    store, runs = made
    biases = []
    for run in runs:
        ours, fine, told = kpe(store, run), truth(run), scores(store, run)
        bias, rank = told["kpe_bias"], told["kpe_rank"]
        assert bias["value"] == pytest.approx(ours.sum() / fine.sum() - 1, abs=2e-3)
        assert rank["value"] == pytest.approx(stats.spearmanr(ours, fine).statistic, abs=0.02)
        assert bias["low"] < bias["value"] < bias["high"]
        assert rank["low"] <= rank["value"] <= rank["high"]
        biases.append(bias["value"])
    assert abs(biases[0]) > 0.01, "ten steps are too few, and the probe says so"
    assert abs(biases[1]) < 0.5 * abs(biases[0]), "an Euler path's error falls with its step"


def test_rows_say_how_many_samples_were_probed(made: tuple[Store, list[Run]]) -> None:
    told = scores(made[0], made[1][0])
    assert {metric: row["n"] for metric, row in told.items() if metric.startswith("kpe")} == {
        "kpe": 30, "kpe_bias": 20, "kpe_rank": 20,
    }  # fmt: skip


def test_interval_is_the_ratio_of_sums_resampled_in_pairs(made: tuple[Store, list[Run]]) -> None:
    store, runs = made
    ours, fine, told = kpe(store, runs[0]), truth(runs[0]), scores(store, runs[0])["kpe_bias"]
    paired = stats.bootstrap(
        (ours, fine), lambda a, b, axis: a.sum(axis) / b.sum(axis) - 1, paired=True, vectorized=True,
        method="percentile", rng=0,
    ).confidence_interval  # fmt: skip
    assert told["high"] - told["low"] == pytest.approx(paired.high - paired.low, rel=0.25)


@pytest.mark.parametrize(
    ("sampling", "measure", "size", "probed"),
    [
        ({"nfe": 10}, {}, 20, True),
        ({"nfe": 10, "n_samples": 3}, {}, 3, True),
        ({"nfe": 10, "n_samples": 2}, {}, 2, False),
        ({"nfe": 10}, {"probe": 0}, 0, False),
        ({"nfe": 10, "solvers": "dopri5"}, {}, 20, False),
        ({"nfe": 10, "solvers": "midpoint"}, {}, 20, True),
    ],
)
def test_which_runs_are_probed(
    tmp_path_factory: pytest.TempPathFactory, sampling: dict[str, Any], measure: dict[str, Any], size: int, probed: bool
) -> None:
    store = Store.create_or_open(str(tmp_path_factory.mktemp("which")))
    (cell,) = cells(study(sampling, measure))
    run = resolve(store, cell)
    assert run is not None
    assert probe_size(run) == size
    assert is_probed(run) == probed
    if not probed:
        assert probe_scores(store, run, load(run.data), np.ones(30)) == {}
