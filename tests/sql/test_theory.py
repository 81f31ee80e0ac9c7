"""The analyses of theory and error: an exact field, plain and shaped, beside a network on the same points."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from kpe_core.catalog.analyses import analysis
from kpe_core.catalog.catalog import Catalog
from kpe_core.store.store import Store
from kpe_core.study.load import load_study
from tests.conftest import run_serially

STUDY = """
name: theory
title: The exact field beside a learned one
experiments:
  - &digits
    name: exact
    data: {name: digits, n_train: 64, prepare: {scaling: symmetric}}
    fields: {kind: exact}
    sampling:
      n_samples: 60
      nfe: 30
      batch: 60
      states: {keep: none}
      shapings: [{}, {beta0: 0.03}, {beta0: 0.4, landing: linear}, {alpha0: 0.1}, {eta: 1 - t / 2}]
    measure: {bootstrap: 200, densities: [], probe: 20}
  - <<: *digits
    name: cosine
    fields: {kind: exact, bridge: cosine}
    sampling: {n_samples: 60, nfe: 30, batch: 60, states: {keep: none}, shapings: [{}, {beta0: 0.04}, {beta0: 0.03}]}
  - <<: *digits
    name: learned
    fields: {kind: mlp, width: 16, depth: 1, steps: 50, batch: 32, label_dropout: 0.1}
    sampling: {n_samples: 60, nfe: 20, batch: 60, states: {keep: none}, guidance: [1.0, 2.0], shapings: [{}, {alpha0: 0.1}]}
    measure: {bootstrap: 200, densities: [], probe: 0}
  - <<: *digits
    name: other-noise
    fields: {kind: mlp, width: 16, depth: 1, steps: 50, batch: 32, label_dropout: 0.1}
    sampling: {n_samples: 60, nfe: 20, batch: 60, states: {keep: none}, seed: 1}
  - <<: *digits
    name: other-points
    data: {name: digits, n_train: 32, prepare: {scaling: symmetric}}
    sampling: {n_samples: 60, nfe: 3, batch: 60, states: {keep: none}}
"""


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    folder = tmp_path_factory.mktemp("sql-theory")
    (folder / "theory.yaml").write_text(STUDY)
    store = Store.create_or_open(str(folder / "store"))
    run_serially(load_study(str(folder / "theory.yaml")), store)
    with Catalog(store) as open_catalog:
        yield open_catalog


def answer(catalog: Catalog, name: str) -> pd.DataFrame:
    return analysis(name).run(catalog, "theory").to_pandas()


def of(catalog: Catalog, view: str, label: str) -> pd.DataFrame:
    sql = f"SELECT v.* FROM {view} v JOIN study_runs m USING (run) WHERE m.run_label = $label"
    return catalog.query(sql, label=label).to_pandas()


EXACT = [
    "exact plain", "exact kts(0, 0.03)", "exact kts(0, 0.4)[linear]", "exact kts(0.1, 0)", "exact kts(eta)",
    "cosine plain", "cosine kts(0, 0.04)", "cosine kts(0, 0.03)", "other-points",
]  # fmt: skip


def test_theorem_4_2_picks_the_grids_own_times(catalog: Catalog) -> None:
    found = answer(catalog, "theorem_4_2")
    assert list(found.run_label.unique()) == EXACT
    here = found[found.run_label == "exact plain"]
    assert here.t.to_numpy() == pytest.approx(np.array([6, 12, 18, 21, 24, 27, 28]) / 30)
    # Of three steps two are the nearest to something: 1/3 to 0.2 and 0.4, 2/3 to the rest.
    assert found[found.run_label == "other-points"].t.to_numpy() == pytest.approx([1 / 3, 2 / 3])
    assert dict(zip(found.run_label, found.shaped, strict=True)) == {x: "kts" in x for x in EXACT}


def test_theorem_4_2_is_the_steps_own_regression(catalog: Catalog) -> None:
    found = answer(catalog, "theorem_4_2").query("run_label == 'exact plain'")
    steps = of(catalog, "steps", "exact plain")
    for row in found.itertuples():
        here = steps[np.isclose(steps.t, row.t)]
        truth = stats.linregress(-here.log_density, here.power)
        assert (row.slope, row.intercept, row.r2) == pytest.approx((truth.slope, truth.intercept, truth.rvalue**2))
        for level, share in ((0.5, row.share_50), (0.9, row.share_90), (0.99, row.share_99)):
            assert share == pytest.approx((here.posterior_max > level).mean())
        assert row.n == len(here) == 60


def test_terminal_growth(catalog: Catalog) -> None:
    found = answer(catalog, "terminal_growth").set_index("run_label")
    assert list(found.index) == EXACT
    exponential = np.exp(3) - 1
    landing = [0, 0.03 * exponential, 0.4, 0, None, 0, 0.04 * exponential, 0.03 * exponential, 0]
    for label, c in zip(EXACT, landing, strict=True):
        assert pd.isna(found.landing[label]) if c is None else found.landing[label] == pytest.approx(c), label
    # From c = ½ on for the linear bridge, from ¾ on for the cosine one.
    diverges = dict(zip(EXACT, [False, True, False, False, None, False, True, False, False], strict=True))
    assert {label: None if pd.isna(d) else bool(d) for label, d in found.diverges.items()} == diverges
    own, plain = of(catalog, "samples", "exact kts(0, 0.03)"), of(catalog, "samples", "exact plain")
    row = found.loc["exact kts(0, 0.03)"]
    assert (row.peak_power, row.kpe) == pytest.approx((own.peak_power.mean(), own.kpe.mean()))
    assert (row.plain_peak_power, row.plain_kpe) == pytest.approx((plain.peak_power.mean(), plain.kpe.mean()))
    assert found.plain_kpe[["exact plain", "cosine plain", "other-points"]].isna().all()
    assert pd.isna(found.growth["other-points"]), "three steps have no end to fit"
    for label in EXACT[:-1]:
        told = of(catalog, "scores", label).set_index("metric")
        row = found.loc[label]
        assert (row.growth, row.low, row.high) == tuple(told.loc["growth", ["value", "low", "high"]])
        assert row.growth_theory == told.value["growth_theory"]


def test_a_given_gain_is_told_beside_what_it_trades(catalog: Catalog) -> None:
    found = answer(catalog, "shaping_tradeoff").query("run_label.str.startswith('exact ')")
    assert set(found.metric) == {"f_mem", "kpe"}
    given = {label: {None if pd.isna(eta) else eta for eta in here} for label, here in found.groupby("run_label").eta}
    assert given == {label: {"1 - t / 2" if "eta" in label else None} for label in EXACT if label.startswith("exact ")}
    assert list(found[found.plain].run_label.unique()) == ["exact plain"]


def test_exact_is_paired_with_networks_on_the_same_points_and_noise(catalog: Catalog) -> None:
    (row,) = answer(catalog, "exact_against_learned").itertuples()
    assert (row.run_label, row.learned, row.n) == ("exact plain", "learned w1 plain", 60)
    assert (row.nfe, row.learned_nfe) == (30, 20)
    exact, learned = (of(catalog, "samples", label).set_index("sample") for label in (row.run_label, row.learned))
    ratio = exact.peak_power / learned.peak_power
    assert row.higher == (ratio > 1).mean()
    assert row.ratio == pytest.approx(ratio.median())
    assert (row.peak_power, row.learned_peak_power) == pytest.approx(
        (exact.peak_power.mean(), learned.peak_power.mean())
    )
    assert (row.f_mem, row.learned_f_mem) == (exact.memorized.mean(), learned.memorized.mean())
    for name in ("higher", "f_mem", "learned_f_mem"):
        share = getattr(row, name)
        truth = stats.binomtest(round(60 * share), 60).proportion_ci(method="wilson")
        assert getattr(row, f"{name}_low") == pytest.approx(truth.low, abs=1e-6)
        assert getattr(row, f"{name}_high") == pytest.approx(truth.high, abs=1e-6)


def test_energy_error(catalog: Catalog) -> None:
    found = answer(catalog, "energy_error").set_index("run_label")
    assert len(found) == 14
    for label in ("exact plain", "learned w1 plain"):
        s, row = of(catalog, "samples", label), found.loc[label]
        for name in ("kpe", "kpe_left", "kpe_trapezoid", "kpe_simpson"):
            assert row[name] == pytest.approx(s[name].mean(), rel=1e-12)
        assert row.rough == pytest.approx((s.kpe_error > 0.01 * s.kpe).mean())
    told = of(catalog, "scores", "exact plain").set_index("metric")
    row = found.loc["exact plain"]
    assert (row.kpe_bias, row.kpe_bias_low, row.kpe_bias_high) == tuple(told.loc["kpe_bias", ["value", "low", "high"]])
    assert (row.kpe_rank, row.probed) == (told.value["kpe_rank"], 20)
    assert found.probed.isna()[[x for x in found.index if x.startswith("learned")]].all()
    # Euler evaluates once a step; a network once more at t = 1, and both its branches where it is guided.
    spent = found.nfe_spent[["exact plain", "learned w1 plain", "learned w2 plain"]]
    assert spent.tolist() == [30, 21, 42]
