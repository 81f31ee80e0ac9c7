"""The analyses that take parameters or look across runs, against SciPy and NumPy on a store made for them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from kpe_core.catalog.analyses import analysis
from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import UserError
from kpe_core.measure.statistics import cohens_d, quantile_bins
from kpe_core.store.schema import CHECKS
from kpe_core.store.store import Store
from kpe_core.study.load import load_study
from tests.conftest import run_serially

STUDY = """
name: questions
title: Runs to hold against each other
experiments:
  - &sets
    name: planar
    data: {name: dense_sparse, n_train: 100}
    fields: {kind: exact}
    sampling: {n_samples: 150, nfe: [10, 40], batch: 50, states: {keep: none}, shapings: [{}, {alpha0: 0.3}, {beta0: 0.02}]}
    measure: {bootstrap: 100, densities: [{estimator: knn}], probe: 0}
  - <<: *sets
    name: again
    sampling: {n_samples: 150, nfe: 10, batch: 50, states: {keep: none}, seed: 5}
"""
PLAIN, FINE, AGAIN = "planar nfe10 plain", "planar nfe40 plain", "again"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    folder = tmp_path_factory.mktemp("questions")
    (folder / "questions.yaml").write_text(STUDY)
    store = Store.create_or_open(str(folder / "store"))
    for run in run_serially(load_study(str(folder / "questions.yaml")), store):
        _check(store, run.run_id, fails=run.label in (FINE, AGAIN))
    with Catalog(store) as open_catalog:
        yield open_catalog


def _check(store: Store, run: str, fails: bool) -> None:
    """Two expectations, one of which the run may fail; made visible in its manifest."""
    rows = [
        {"run": run, "expectation": text, "suite": "samples", "success": held, "severity": "warning"}
        for text, held in (("kpe is finite", True), ("kpe is accurate", not fails))
    ]
    store.write_table(f"runs/{run}/tables/checks.parquet", pa.Table.from_pylist(rows, schema=CHECKS))
    manifest = store.read_json(f"runs/{run}/manifest.json")
    store.write_json(f"runs/{run}/manifest.json", manifest | {"tables": manifest["tables"] | {"checks": ""}})


@pytest.fixture(scope="module")
def small(tiny_store: Store) -> Iterator[Catalog]:
    with Catalog(tiny_store) as open_catalog:
        yield open_catalog


def answer(catalog: Catalog, name: str, study: str = "questions", **given: Any) -> pd.DataFrame:
    return analysis(name).run(catalog, study, **given).to_pandas()


def samples(catalog: Catalog, label: str) -> pd.DataFrame:
    sql = "SELECT s.* FROM samples s JOIN study_runs m USING (run) WHERE m.run_label = $label ORDER BY sample"
    return catalog.query(sql, label=label).to_pandas()


def view(catalog: Catalog, name: str, label: str) -> pd.DataFrame:
    sql = f"SELECT v.* FROM {name} v JOIN study_runs m USING (run) WHERE m.run_label = $label"
    return catalog.query(sql, label=label).to_pandas()


def test_quantile_metrics_of_any_column_by_any_other(small: Catalog) -> None:
    s = samples(small, "shaped plain")
    for column, by, bins in (
        ("margin", "kpe", 5),
        ("memorized", "d1", 4),
        ("kpe", "nearest_label", 3),
        ("kpe", "kpe", 2),
    ):
        found = answer(small, "quantile_metrics", "tiny", column=column, by=by, quantiles=bins)
        found = found[found.run_label == "shaped plain"].set_index("quantile")
        which = quantile_bins(s[by], bins) + 1
        assert list(found.index) == sorted(set(which))
        for q, row in found.iterrows():
            here = s[which == q]
            assert (row.n, row.by_low, row.by_high) == (len(here), here[by].min(), here[by].max())
            assert (row["mean"], row["median"]) == pytest.approx((here[column].mean(), here[column].median()))
            assert row.low <= row["mean"] <= row.high
    log_density = answer(small, "quantile_metrics", "tiny", column="log_density", by="norm")
    densities = view(small, "densities", "planar").query("estimator.str.startswith('knn')").sort_values("sample")
    which = quantile_bins(samples(small, "planar").norm, 5)
    truth = [densities.log_density.to_numpy()[which == q].mean() for q in range(5)]
    assert log_density.query("run_label == 'planar'")["mean"].to_numpy() == pytest.approx(truth)


def test_a_column_is_a_name_and_never_sql(small: Catalog) -> None:
    for name, given in (("quantile_metrics", "kpe FROM samples --"), ("outliers", "(SELECT 1)"), ("outliers", "run")):
        with pytest.raises(UserError, match="samples has no numeric column"):
            analysis(name).run(small, "tiny", column=given)
    with pytest.raises(UserError, match="did you mean 'quantiles'"):
        analysis("quantile_metrics").run(small, "tiny", quantile=4)


def test_semantics_by_tercile(small: Catalog) -> None:
    found = answer(small, "semantics_by_tercile", "tiny").query("run_label == 'shaped plain'")
    s = samples(small, "shaped plain")
    told = (
        view(small, "semantics", "shaped plain")
        .sort_values("sample")
        .assign(agreement=lambda t: t.agrees.astype(float))
    )
    which = quantile_bins(s.kpe, 3) + 1
    assert set(found.quantity) == {"score", "margin", "agreement"}
    assert len(found) == 9 * told.space.nunique()
    for row in found.itertuples():
        values = told[told.space == row.space][row.quantity].to_numpy()
        here, least = (pd.Series(values[which == q]) for q in (row.quantile, 1))
        assert (row.n, row.mean, row.sd) == (len(here), pytest.approx(here.mean()), pytest.approx(here.std()))
        assert row.low <= row.mean <= row.high
        if row.quantile == 1:
            assert pd.isna(row.cohens_d)
            assert pd.isna(row.p)
            continue
        test = stats.mannwhitneyu(here, least, method="asymptotic")
        assert row.cohens_d == pytest.approx(cohens_d(here, least))
        assert row.cliffs_delta == pytest.approx(2 * test.statistic / (len(here) * len(least)) - 1)
        assert row.p == pytest.approx(test.pvalue, rel=1e-6)


def test_density_within_class(small: Catalog) -> None:
    found = answer(small, "density_within_class", "tiny").query("run_label == 'shaped plain'")
    s, d = samples(small, "shaped plain"), view(small, "densities", "shaped plain")
    both = s.merge(d, on=["run", "sample"])
    assert found.n.sum() == len(both)
    for row in found.itertuples():
        here = both[(both["class"] == row[found.columns.get_loc("class") + 1]) & (both.estimator == row.estimator)]
        assert row.n == len(here)
        if row.n > 2:
            assert row.rho == pytest.approx(stats.spearmanr(here.kpe, here.log_density).statistic, abs=1e-12)


def test_density_strata(small: Catalog) -> None:
    s, d = samples(small, "planar"), view(small, "densities", "planar")
    both = s.merge(d, on=["run", "sample"])
    energies = answer(small, "density_strata_energies", "tiny", strata=4).query("run_label == 'planar'")
    tests = answer(small, "density_strata", "tiny", strata=4).query("run_label == 'planar'").set_index("estimator")
    assert set(energies.estimator) == set(both.estimator)
    for estimator, here in both.groupby("estimator"):
        which = quantile_bins(here.log_density, 4) + 1
        for row in energies[energies.estimator == estimator].itertuples():
            inside = here[which == row.stratum]
            assert (row.n, row.kpe, row.f_mem) == pytest.approx(
                (len(inside), inside.kpe.mean(), inside.memorized.mean())
            )
            assert (row.kpe_25, row.kpe_50, row.kpe_75) == pytest.approx(tuple(inside.kpe.quantile([0.25, 0.5, 0.75])))
        sparse, dense = here.kpe[which == 1], here.kpe[which == 4]
        truth, row = stats.mannwhitneyu(sparse, dense, method="asymptotic"), tests.loc[estimator]
        assert (row.n, row.kpe_sparse, row.kpe_dense) == (len(sparse) + len(dense), sparse.median(), dense.median())
        assert row.p == pytest.approx(truth.pvalue, rel=1e-6)


def test_memorization_by_quantile_and_by_class(small: Catalog) -> None:
    s = samples(small, "planar")
    which = quantile_bins(s.d2, 3) + 1
    found = answer(small, "memorization_by_quantile", "tiny", by="d2", quantiles=3).query("run_label == 'planar'")
    by_class = answer(small, "memorization_by_class", "tiny").query("run_label == 'planar'")
    assert by_class.n.sum() == len(s)
    groups = [(s[which == q], found[found["quantile"] == q]) for q in (1, 2, 3)]
    groups += [(here, by_class[by_class["class"] == c]) for c, here in s.groupby("class")]
    for here, rows in groups:
        (row,) = rows.itertuples()
        truth = stats.binomtest(int(here.memorized.sum()), len(here)).proportion_ci(method="wilson")
        assert (row.n, row.f_mem) == (len(here), pytest.approx(here.memorized.mean()))
        assert (row.low, row.high) == pytest.approx((truth.low, truth.high), abs=1e-12)


def test_memorized_neighbours(catalog: Catalog) -> None:
    found = answer(catalog, "memorized_neighbours", top=3).query(f"run_label == '{PLAIN}'")
    copies = samples(catalog, PLAIN).query("memorized")
    truth = (
        copies.groupby("nearest").agg(copies=("sample", "size"), d1=("d1", "mean"), kpe=("kpe", "mean")).reset_index()
    )
    truth = truth.sort_values(["copies", "nearest"], ascending=[False, True]).head(3)
    assert found.nearest.tolist() == truth.nearest.tolist()
    assert found.copies.tolist() == truth.copies.tolist()
    assert found.share.to_numpy() == pytest.approx(truth.copies.to_numpy() / len(copies))
    assert found.d1.to_numpy() == pytest.approx(truth.d1.to_numpy())
    for row in found.itertuples():
        here = copies[copies.nearest == row.nearest]
        assert row.first_copy == here.loc[here.d1.idxmin(), "sample"]


@pytest.mark.parametrize("grouping", ["quantile", "memorized", "class"])
def test_energy_profile_by_group(catalog: Catalog, grouping: str) -> None:
    found = answer(catalog, "energy_profile_by_group", grouping=grouping, by="norm").query(f"run_label == '{PLAIN}'")
    s = samples(catalog, PLAIN)
    group = {"quantile": quantile_bins(s.norm, 3) + 1, "memorized": s.memorized.astype(int), "class": s["class"]}[
        grouping
    ]
    steps = view(catalog, "steps", PLAIN).merge(s.assign(grp=group)[["sample", "grp"]], on="sample")
    steps["p"] = steps.eta**2 * steps.power
    truth = steps.groupby(["grp", "step"]).agg(n=("p", "size"), power=("p", "mean"), kpe=("cumulative_kpe", "mean"))
    low = steps.groupby(["grp", "step"]).p.quantile(0.1)
    found = found.set_index(["grp", "step"]).sort_index()
    assert list(found.index) == list(truth.index)
    assert (found.n == truth.n).all()
    assert found.power.to_numpy() == pytest.approx(truth.power.to_numpy())
    assert found.power_low.to_numpy() == pytest.approx(low.to_numpy())
    assert found.cumulative_kpe.to_numpy() == pytest.approx(truth.kpe.to_numpy())


def test_goldilocks(small: Catalog) -> None:
    found = answer(small, "goldilocks", "tiny").set_index("run_label")
    for label in found.index:
        s, told = samples(small, label), view(small, "scores", label).set_index("metric")
        assert found.kpe[label] == pytest.approx(s.kpe.mean())
        assert found.late_share[label] == pytest.approx(s.kpe_late.mean() / s.kpe.mean())
        assert found.f_mem[label] == pytest.approx(s.memorized.mean())
        assert pd.isna(found.quality[label]) if label == "planar" else found.quality[label] == told.value["frechet"]
    here = found.drop("planar")
    assert list(here.index[here.best.astype(bool)]) == [here.quality.idxmin()]
    by_score = answer(small, "goldilocks", "tiny", quality="score").set_index("run_label").drop("planar")
    assert list(by_score.index[by_score.best.astype(bool)]) == [by_score.quality.idxmax()]


def test_shaping_pareto(small: Catalog) -> None:
    found = answer(small, "shaping_pareto", "tiny", quality="precision").set_index("run_label")
    assert list(found.index) == ["shaped plain", "shaped kts(0, 0.02)"]
    assert set(found.baseline) == {"shaped plain"}
    told = {label: view(small, "scores", label).set_index("metric").value for label in found.index}
    for label, row in found.iterrows():
        (other,) = set(found.index) - {label}
        mine, others = ((-told[x]["precision"], told[x]["f_mem"]) for x in (label, other))
        assert row.on_front == (not (others[0] <= mine[0] and others[1] <= mine[1] and others != mine))
    paired = view(small, "comparisons", "shaped kts(0, 0.02)").set_index("metric").loc["f_mem"]
    shaped = found.loc["shaped kts(0, 0.02)"]
    assert (shaped.f_mem_delta, shaped.f_mem_low, shaped.f_mem_high) == (paired.delta, paired.low, paired.high)
    assert pd.isna(found.f_mem_delta["shaped plain"])


def test_solver_convergence(catalog: Catalog) -> None:
    found = answer(catalog, "solver_convergence").set_index("run_label")
    assert len(found) == 6
    assert AGAIN not in found.index
    assert found.reference[PLAIN] == FINE
    ours, fine = samples(catalog, PLAIN), samples(catalog, FINE)
    ratio = ours.kpe / fine.kpe
    row = found.loc[PLAIN]
    assert row.bias == pytest.approx(ours.kpe.sum() / fine.kpe.sum() - 1)
    assert (row.typical, row.worst) == pytest.approx(((ratio - 1).abs().mean(), (ratio - 1).abs().max()))
    assert row["rank"] == pytest.approx(stats.spearmanr(ours.kpe, fine.kpe).statistic)
    assert row.apart == pytest.approx((ours.norm - fine.norm).abs().mean())
    assert (found.bias[FINE], found["rank"][FINE]) == (0, pytest.approx(1))


def test_outliers(catalog: Catalog) -> None:
    found = answer(catalog, "outliers", column="path_length", top=4).query(f"run_label == '{AGAIN}'")
    s = samples(catalog, AGAIN)
    away = (s.path_length - s.path_length.median()) / stats.median_abs_deviation(s.path_length, scale=1 / 1.4826)
    order = away.abs().sort_values(ascending=False).index[:4]
    assert found["sample"].tolist() == s["sample"][order].tolist()
    assert found.robust_z.to_numpy() == pytest.approx(away[order].to_numpy())
    assert found.kpe.to_numpy() == pytest.approx(s.kpe[order].to_numpy())


def test_terminal_blowup(catalog: Catalog) -> None:
    found = answer(catalog, "terminal_blowup", after=0.75).set_index("run_label")
    for label in (PLAIN, FINE):
        s, steps = samples(catalog, label), view(catalog, "steps", label)
        steps["p"] = steps.eta**2 * steps.power
        late = steps[steps.t >= 0.75].groupby("sample").energy.sum() / steps.groupby("sample").energy.sum()
        last = steps[steps.step == steps.step.max()].set_index("sample").p
        rise = last / steps[steps.t < 0.75].groupby("sample").p.mean()
        row = found.loc[label]
        assert row.share == pytest.approx(steps[steps.t >= 0.75].energy.sum() / steps.energy.sum())
        assert row.uniform == pytest.approx(steps[steps.t >= 0.75].dt.sum() / steps.dt.sum() * 1.0)
        assert (row.rise, row.rise_95, row.steep) == pytest.approx(
            (rise.median(), rise.quantile(0.95), (rise > 2).mean())
        )
        assert row.rho_d1 == pytest.approx(stats.spearmanr(late, s.d1).statistic)
        assert row.rho_memorized == pytest.approx(stats.spearmanr(late, s.memorized).statistic)


def test_run_drift(catalog: Catalog) -> None:
    (row,) = answer(catalog, "run_drift").itertuples()
    assert (row.run_label, row.other_label, row.differs) == (PLAIN, AGAIN, "seed")
    x, y = samples(catalog, PLAIN), samples(catalog, AGAIN)
    test = stats.mannwhitneyu(y.kpe, x.kpe, method="asymptotic")
    assert row.shift == pytest.approx(y.kpe.mean() / x.kpe.mean() - 1)
    assert row.z == pytest.approx(stats.ttest_ind(y.kpe, x.kpe, equal_var=False).statistic)
    assert (row.auc, row.p) == pytest.approx((test.statistic / (len(x) * len(y)), test.pvalue), rel=1e-6)
    pooled = (x.memorized.sum() + y.memorized.sum()) / (len(x) + len(y))
    z = (y.memorized.mean() - x.memorized.mean()) / np.sqrt(pooled * (1 - pooled) * (1 / len(x) + 1 / len(y)))
    assert row.f_mem_p == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-6)
    (named,) = answer(catalog, "run_drift", a=row.run, b=samples(catalog, FINE).run[0]).itertuples()
    assert (named.run_label, named.other_label, named.differs) == (PLAIN, FINE, "spec")


def test_quality_history_is_in_the_order_of_finalisation(catalog: Catalog) -> None:
    found = answer(catalog, "quality_history").set_index("run_label")
    assert len(found) == 7
    assert found.finalised.is_monotonic_increasing
    assert (found.expectations == 2).all()
    assert found.warnings.to_dict() == {label: int(label in (FINE, AGAIN)) for label in found.index}
    assert (found.failed[AGAIN], found.failed_before[AGAIN]) == ("kpe is accurate", 1)
    assert (found.failed[FINE], found.failed_before[FINE]) == ("kpe is accurate", 0)
    assert found.accepted.isna().all()
