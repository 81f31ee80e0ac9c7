"""The theory table and scores of real runs, against whole-array brute force on their trajectories."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from kpe_core.data.datasets import load
from kpe_core.measure.theory import predicted_growth
from kpe_core.sampling.shaping import gain
from kpe_core.stages.tabulate import table_path
from kpe_core.stages.theory import is_exact, shows_growth
from kpe_core.store.schema import THEORY
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.load import load_study
from kpe_core.study.runs import Run
from tests.conftest import run_serially

STUDY = """
name: theory
title: The theory on digits, under the exact field
experiments:
  - &digits
    name: digits
    data: {name: digits, n_train: 64, prepare: {scaling: symmetric}}
    fields: {kind: exact}
    sampling: {n_samples: 70, nfe: 40, batch: 30, shapings: [{}, {beta0: 0.03}], states: {keep: none}}
    measure: {bootstrap: 100, densities: [], probe: 0}
  - <<: *digits
    name: by-class
    fields: {kind: exact, conditional: true, bridge: cosine}
    sampling: {n_samples: 70, nfe: 40, batch: 30, guidance: [1.0, 2.0], states: {keep: none}}
  - <<: *digits
    name: coarse
    sampling: {n_samples: 3, nfe: 20, states: {keep: none}}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, dict[str, Run]]:
    folder = tmp_path_factory.mktemp("theory")
    (folder / "theory.yaml").write_text(STUDY)
    store = Store.create_or_open(str(folder / "store"))
    return store, {run.label: run for run in run_serially(load_study(str(folder / "theory.yaml")), store, 60)}


def arrays(store: Store, run: Run) -> dict[str, np.ndarray]:
    return {name: np.asarray(values[:]) for name, values in Trajectories(store, run.trajectories_id).group().arrays()}


def theory(store: Store, run: Run) -> pd.DataFrame:
    table = store.read_table(table_path(run, "theory"))
    assert table.schema.equals(THEORY)
    return table.to_pandas()


def scores(store: Store, run: Run) -> dict[str, dict[str, float]]:
    return {row["metric"]: row for row in store.read_table(table_path(run, "scores")).to_pylist()}


def test_table_is_that_of_the_whole_run(made: tuple[Store, dict[str, Run]]) -> None:
    """70 samples in batches of 30, 30 and 10: the parts must add up."""
    store, runs = made
    for label in ("digits plain", "by-class w1", "coarse"):
        run = runs[label]
        told, a = theory(store, run), arrays(store, run)
        assert told.step.tolist() == list(range(run.steps))
        assert told.t.tolist() == a["t_step"].tolist()
        for level, column in ((0.5, "share_50"), (0.9, "share_90"), (0.99, "share_99")):
            assert told[column].to_numpy() == pytest.approx((a["posterior_max"] > level).mean(axis=0), abs=1e-12)
        # The cosine bridge starts at rest, where power does not vary.
        for i in range(1 if "by-class" in label else 0, run.steps):
            truth = stats.linregress(-a["log_density"][:, i], a["power"][:, i])
            assert told.slope[i] == pytest.approx(truth.slope, rel=1e-6)
            assert told.intercept[i] == pytest.approx(truth.intercept, rel=1e-6, abs=1e-6)
            assert told.r2[i] == pytest.approx(truth.rvalue**2, rel=1e-6)


def test_a_field_at_rest_has_a_flat_regression_and_no_r2(made: tuple[Store, dict[str, Run]]) -> None:
    first = theory(made[0], made[1]["by-class w1"]).iloc[0]
    assert first.slope == 0
    assert math.isnan(first.r2)


def test_prediction_knows_the_bridge_and_how_many_points_compete(made: tuple[Store, dict[str, Run]]) -> None:
    store, runs = made
    points, t = load(runs["digits plain"].data).points.astype(np.float64), 0.75
    norms, d = (points**2).sum(axis=1), 64
    for label, sigma, rate in (
        ("digits plain", 1 - t, 1.0),
        ("by-class w1", 0.5 * (1 + math.cos(math.pi * t)), 0.5 * math.pi * math.sin(math.pi * t)),
    ):
        run = runs[label]
        prepared = load(run.data)
        log_n = math.log(64)
        if run.conditional:
            log_n = np.mean([math.log((prepared.point_labels == i % 10).sum()) for i in range(run.n_samples)])
        row = theory(store, run).iloc[30]
        c = log_n + d / 2 * math.log(2 * math.pi) + d * math.log(sigma)
        assert row.t == t
        assert row.slope_theory == pytest.approx(2 * rate**2)
        assert row.intercept_theory == pytest.approx(rate**2 * (norms.mean() - 2 * c))
        assert row.r2_theory == pytest.approx(2 * d / (2 * d + 4 * norms.mean() + norms.var()))


def test_measured_agrees_with_theorem_4_2(made: tuple[Store, dict[str, Run]]) -> None:
    """Within what 70 samples can tell."""
    store, run = made[0], made[1]["digits plain"]
    a, late = arrays(store, run), theory(store, run).query("share_90 > 0.95")
    assert len(late) >= 10
    spread = np.sqrt((1 / late.r2_theory - 1) / 70)
    assert (abs(late.slope / late.slope_theory - 1) < 3 * spread).all()
    assert (abs(late.r2 - late.r2_theory) < 0.2).all()
    mean_density, mean_power = (a[name].mean(axis=0)[late.step] for name in ("log_density", "power"))
    line = late.intercept_theory - late.slope_theory * mean_density
    assert line.to_numpy() == pytest.approx(mean_power, rel=0.1)


def test_growth_is_what_lemma_5_1_says(made: tuple[Store, dict[str, Run]]) -> None:
    store, runs = made
    plain, landed = scores(store, runs["digits plain"]), scores(store, runs["digits kts(0, 0.03)"])
    assert plain["growth_theory"]["value"] == pytest.approx(0, abs=1e-12)
    assert plain["growth"]["value"] == pytest.approx(0, abs=1e-3)
    shaping, times = runs["digits kts(0, 0.03)"].shaping, np.arange(40) / 40
    said = predicted_growth(times, gain(shaping, times), 1 - times, np.ones(40), euler=True)
    assert landed["growth_theory"]["value"] == said > 0.1
    assert landed["growth"]["value"] == pytest.approx(said, abs=1e-3)
    assert landed["growth"]["low"] <= landed["growth"]["value"] <= landed["growth"]["high"]
    assert landed["growth_theory"]["low"] is None
    assert landed["growth"]["n"] == 70


def test_only_unguided_exact_runs_with_enough_late_steps_are_held_to_it(made: tuple[Store, dict[str, Run]]) -> None:
    store, runs = made
    assert [label for label, run in runs.items() if not is_exact(run)] == ["by-class w2"]
    assert [label for label, run in runs.items() if not shows_growth(run)] == ["by-class w2", "coarse"]
    for label, run in runs.items():
        assert store.exists(table_path(run, "theory")) == (label != "by-class w2")
        assert ("growth" in scores(store, run)) == shows_growth(run)
