"""Analyses where numbers are missing: correlated are the samples that have every number asked about, as SciPy would."""

import shutil
from collections.abc import Iterator
from itertools import product

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from numpy.typing import NDArray
from scipy import stats

from kpe_core.catalog.analyses import analysis
from kpe_core.catalog.catalog import Catalog
from kpe_core.store.schema import DENSITIES, SAMPLES, SEMANTICS
from kpe_core.store.store import Store

RUNS = ("planar", "shaped plain")

HOLES = (
    ("samples", SAMPLES, {"kpe": (0, 3), "norm": (3, 9), "displacement": (7, 12)}),
    ("semantics", SEMANTICS, {"score": (10, 25), "margin": (40, 47)}),
    ("densities", DENSITIES, {"log_density": (5, 19)}),
)


@pytest.fixture(scope="module")
def catalog(tiny_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """The tiny study with holes in the tables of two runs, of another sort in every column."""
    store = Store(shutil.copytree(tiny_store.root, tmp_path_factory.mktemp("missing") / "store").as_posix())
    runs = [row["run"] for row in store.read_json("studies/tiny/runs.json") if row["label"] in RUNS]
    for run, (name, schema, holes) in product(runs, HOLES):
        path = f"runs/{run}/tables/{name}.parquet"
        if not store.exists(path):
            continue
        table = store.read_table(path)
        for column, (first, last) in holes.items():
            at = schema.get_field_index(column)
            field, sample = schema.field(at), table["sample"].to_numpy()
            hole = pa.scalar(None if field.nullable else np.nan, field.type)
            there = pc.if_else(pa.array((sample >= first) & (sample < last)), hole, table[column])
            table = table.set_column(at, field, there)
        store.write_table(path, table)
    with Catalog(store) as open_catalog:
        yield open_catalog


def joined(catalog: Catalog, run: str, told: str) -> pd.DataFrame:
    sql = f"""SELECT * FROM (SELECT run, sample, class, kpe, norm, displacement, memorized FROM samples)
        JOIN (FROM {told}) USING (run, sample) JOIN study_runs USING (run) WHERE run_label = $run"""
    return catalog.query(sql, run=run).to_pandas()


def agrees(row: pd.Series, frame: pd.DataFrame, y: str) -> None:
    kept = frame.dropna(subset=["kpe", "norm", "displacement", y])
    assert 0 < len(kept) < kept["sample"].max()  # something is missing
    ranks: NDArray[np.float64] = np.array([stats.rankdata(kept[c]) for c in ("kpe", y, "norm", "displacement")])
    rho, precision = np.corrcoef(ranks), np.linalg.inv(np.corrcoef(ranks))
    norm = np.linalg.inv(np.corrcoef(ranks[:3]))
    assert row.n == len(kept)
    assert row.rho == pytest.approx(rho[0, 1], abs=1e-12)
    assert row.rho_norm == pytest.approx(rho[0, 2], abs=1e-12)
    assert row.rho_displacement == pytest.approx(rho[0, 3], abs=1e-12)
    assert row.given_norm == pytest.approx(-norm[0, 1] / np.sqrt(norm[0, 0] * norm[1, 1]), abs=1e-9)
    assert row.given_both == pytest.approx(-precision[0, 1] / np.sqrt(precision[0, 0] * precision[1, 1]), abs=1e-8)
    parts = [(len(c), stats.spearmanr(c.kpe, c[y]).statistic) for _, c in kept.groupby("class") if len(c) > 3]
    parts = [(n, r) for n, r in parts if np.isfinite(r)]
    assert row.within_class == pytest.approx(sum(n * r for n, r in parts) / sum(n for n, _ in parts), abs=1e-10)


def test_trends(catalog: Catalog) -> None:
    found = analysis("trends").run(catalog, "tiny").to_pandas().set_index(["run_label", "quantity"])
    semantics = joined(catalog, "shaped plain", "(SELECT run, sample, score, margin FROM semantics)")
    semantics = semantics.dropna(subset=["score", "margin"])
    for quantity in ("score", "margin"):
        agrees(found.loc["shaped plain", quantity], semantics, quantity)
    planar = joined(catalog, "planar", "(SELECT run, sample FROM samples)")
    assert planar.memorized.nunique() == 2
    agrees(found.loc["planar", "memorized"], planar, "memorized")


@pytest.mark.parametrize("run", RUNS)
def test_density_correlation(catalog: Catalog, run: str) -> None:
    found = analysis("density_correlation").run(catalog, "tiny").to_pandas().query("run_label == @run")
    densities = joined(catalog, run, "(SELECT run, sample, space, estimator, log_density FROM densities)")
    assert len(found)
    for row in found.itertuples():
        agrees(row, densities[(densities.space == row.space) & (densities.estimator == row.estimator)], "log_density")
