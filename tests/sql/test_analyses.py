"""Every analysis against SciPy and NumPy on the tiny study's tables; headers and columns documented."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from kpe_core.catalog.analyses import analyses, analysis, literal
from kpe_core.catalog.catalog import Catalog
from kpe_core.store.store import Store
from kpe_core.study.load import load_study
from tests.conftest import run_serially


@pytest.fixture(scope="module")
def catalog(tiny_store: Store) -> Iterator[Catalog]:
    with Catalog(tiny_store) as open_catalog:
        yield open_catalog


def answer(catalog: Catalog, name: str) -> pd.DataFrame:
    return analysis(name).run(catalog, "tiny").to_pandas()


def samples(catalog: Catalog, label: str) -> pd.DataFrame:
    sql = "SELECT s.* FROM samples s JOIN study_runs m USING (run) WHERE m.run_label = $label ORDER BY sample"
    return catalog.query(sql, label=label).to_pandas()


def partial(xy: float, xz: float, yz: float) -> float:
    return (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))


# What the tiny study does not have: an exact field beside its network, runs that differ in the solver, the seed or the
# training step alone, checks, a tuning (test_theory.py, test_questions.py, kpe_core/stages/test_checkpoints.py and
# kpe_core/tuning/test_tuner.py have).
SILENT = {"exact_against_learned", "training", "solver_convergence", "run_drift", "quality_history", "tuning_front"}


@pytest.mark.parametrize("name", [a.name for a in analyses()])
def test_every_analysis_answers(catalog: Catalog, name: str) -> None:
    table = analysis(name).run(catalog, "tiny")
    assert (table.num_rows > 0) == (name not in SILENT)
    assert analysis(name).run(catalog, "no such study").num_rows == 0


@pytest.mark.parametrize("name", [a.name for a in analyses()])
def test_every_analysis_is_a_statement_a_user_may_type(catalog: Catalog, name: str) -> None:
    chosen = analysis(name)
    assert catalog.ask(chosen.statement("tiny")).num_rows == chosen.run(catalog, "tiny").num_rows


def test_a_statement_spells_any_name() -> None:
    assert literal("o'clock; DROP") == "'o''clock; DROP'"
    assert "= 'o''clock'" in analysis("goldilocks").statement("o'clock")


def test_views_hold_every_sample(catalog: Catalog) -> None:
    rows = catalog.query(
        "SELECT r.run_label, r.n_samples, count(*) AS n FROM samples JOIN runs r USING (run) GROUP BY ALL"
    )
    assert all(row["n"] == row["n_samples"] for row in rows.to_pylist())
    steps = catalog.query(
        "SELECT run, n_samples * nfe AS due, count(*) AS n FROM steps JOIN runs USING (run) GROUP BY ALL"
    )
    assert all(row["n"] == row["due"] for row in steps.to_pylist())


def test_energy_bound_holds_for_every_sample(catalog: Catalog) -> None:
    worst = catalog.query(
        "SELECT min(kpe - 0.5 * displacement ** 2 * (1 - 1e-12)) AS slack, count(*) AS n FROM samples"
    )
    assert worst.to_pylist()[0]["slack"] >= 0


def test_steps_add_up_to_the_samples_energy(catalog: Catalog) -> None:
    sql = """
        SELECT max(abs(total - kpe) / kpe) AS gap FROM samples JOIN (
          SELECT run, sample, 0.5 * sum(eta * eta * power * dt) AS total FROM steps GROUP BY ALL
        ) USING (run, sample)"""
    assert catalog.query(sql).to_pylist()[0]["gap"] < 1e-12


def test_density_correlation(catalog: Catalog) -> None:
    found = answer(catalog, "density_correlation").set_index(["run_label", "estimator"])
    for label in ("planar", "shaped plain"):
        s = samples(catalog, label)
        sql = "SELECT d.* FROM densities d JOIN study_runs m USING (run) WHERE m.run_label = $label ORDER BY sample"
        densities = catalog.query(sql, label=label).to_pandas()
        for estimator, d in densities.groupby("estimator"):
            row, log_p = found.loc[(label, estimator)], d.log_density.to_numpy()
            rho = stats.spearmanr(s.kpe, log_p).statistic
            xz, yz = stats.spearmanr(s.kpe, s.norm).statistic, stats.spearmanr(log_p, s.norm).statistic
            assert row.rho == pytest.approx(rho, abs=1e-12)
            assert row.rho_norm == pytest.approx(xz, abs=1e-12)
            assert row.given_norm == pytest.approx(partial(rho, xz, yz), abs=1e-10)
            ranks = np.column_stack([stats.rankdata(v) for v in (s.kpe, log_p, s.norm, s.displacement)])
            precision = np.linalg.inv(np.corrcoef(ranks.T))
            both = -precision[0, 1] / np.sqrt(precision[0, 0] * precision[1, 1])
            assert row.given_both == pytest.approx(both, abs=1e-8)
            classes = s.groupby("class").indices.values()
            groups = [(len(i), stats.spearmanr(s.kpe.iloc[i], log_p[i]).statistic) for i in classes]
            groups = [(n, r) for n, r in groups if n > 3 and np.isfinite(r)]
            within = sum(n * r for n, r in groups) / sum(n for n, _ in groups)
            assert row.within_class == pytest.approx(within, abs=1e-10)


def test_mann_whitney(catalog: Catalog) -> None:
    found = answer(catalog, "density_strata").set_index(["run_label", "estimator"])
    s = samples(catalog, "planar")
    sql = "SELECT d.* FROM densities d JOIN study_runs m USING (run) WHERE m.run_label = 'planar' AND estimator LIKE 'knn%'"
    d = catalog.query(sql).to_pandas().sort_values(["log_density", "sample"])
    third = len(d) // 3
    sparse, dense = (s.kpe.to_numpy()[ids] for ids in (d["sample"][:third], d["sample"][-third:]))
    truth = stats.mannwhitneyu(sparse, dense, method="asymptotic")
    row = found.loc[("planar", d.estimator.iloc[0])]
    assert row.auc == pytest.approx(truth.statistic / (third * third), abs=1e-12)
    assert row.p == pytest.approx(truth.pvalue, rel=1e-6)


def test_trends(catalog: Catalog) -> None:
    found = answer(catalog, "trends").set_index(["run_label", "quantity"])
    s = samples(catalog, "shaped plain")
    for quantity in ("score", "margin"):
        assert found.loc[("shaped plain", quantity)].rho == pytest.approx(
            stats.spearmanr(s.kpe, s[quantity])[0], abs=1e-12
        )


def test_quantiles_and_memorization(catalog: Catalog) -> None:
    s = samples(catalog, "planar").sort_values(["kpe", "sample"])
    chunks = [s.iloc[i] for i in np.array_split(np.arange(len(s)), 5)]
    q = answer(catalog, "kpe_quantiles").query("run_label == 'planar'")
    assert q.kpe.to_numpy() == pytest.approx([c.kpe.mean() for c in chunks])
    m = answer(catalog, "memorization").set_index("run_label").loc["planar"]
    assert [m[f"q{i + 1}"] for i in range(5)] == pytest.approx([c.memorized.mean() for c in chunks])
    assert m.f_mem == pytest.approx(s.memorized.mean())
    assert (s.memorized == (s.d1 < s.d2 / 3)).all()


def test_energy_profile_ends_at_the_mean_energy(catalog: Catalog) -> None:
    profile = answer(catalog, "energy_profile")
    last = profile.groupby("run_label").cumulative_kpe.last()
    for label in ("planar", "shaped plain", "shaped kts(0, 0.02)"):
        assert last[label] == pytest.approx(samples(catalog, label).kpe.mean(), rel=1e-12)


def test_shaping_is_paired_on_the_same_noise(catalog: Catalog) -> None:
    found = answer(catalog, "shaping_tradeoff").set_index(["run_label", "metric"])
    plain, shaped = samples(catalog, "shaped plain"), samples(catalog, "shaped kts(0, 0.02)")
    row = found.loc[("shaped kts(0, 0.02)", "kpe")]
    assert row.delta == pytest.approx((shaped.kpe - plain.kpe).mean(), rel=1e-9)
    differences = ((shaped.kpe - plain.kpe).to_numpy(),)
    paired = stats.bootstrap(differences, np.mean, method="percentile", rng=0).confidence_interval
    assert (row.low, row.high) == pytest.approx((paired.low, paired.high), rel=0.1)
    assert row.high < 0, "landing slows the particle, sample by sample"
    assert "planar" not in found.index


def test_what_does_not_move_has_no_late_share(tmp_path: Path) -> None:
    """One step on a bridge that starts at rest."""
    what = "data: {name: sandwich}, fields: {kind: exact, bridge: cosine}, sampling: {n_samples: 2, nfe: 1}"
    (tmp_path / "tiny.yaml").write_text(f"name: tiny\nexperiments: [{{name: still, {what}}}]\n")
    store = Store.create_or_open(str(tmp_path / "store"))
    run_serially(load_study(str(tmp_path / "tiny.yaml")), store)
    with Catalog(store) as still:
        (row,) = analysis("early_late").run(still, "tiny").to_pylist()
    assert (row["kpe_late"], row["late_share"]) == (0, None)


def test_published_rows_stand_beside_runs_of_their_settings(catalog: Catalog) -> None:
    """METHOD §6: landing alone at 0.02 had 19.36 % and FID 86.56 on CelebA."""
    table = answer(catalog, "shaping_published").set_index("run_label")
    traded = answer(catalog, "shaping_tradeoff")
    assert list(table.index) == ["shaped plain", "shaped kts(0, 0.02)"]
    assert table.published_fid.tolist() == [16.68, 86.56]
    assert table.published_f_mem.tolist() == [0.3734, 0.1936]
    for metric in ("f_mem", "frechet"):
        rows = traded[traded.metric == metric].set_index("run_label")
        assert table[metric].tolist() == rows.value.loc[table.index].tolist()
        assert table.loc["shaped kts(0, 0.02)", f"{metric}_delta"] == rows.delta["shaped kts(0, 0.02)"]
        assert table.loc["shaped kts(0, 0.02)", f"{metric}_low"] == rows.low["shaped kts(0, 0.02)"]
