"""`make bench`, section SQL: Spearman beside SciPy, and every analysis on ten million samples."""

import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from scipy import stats

from kpe_core.catalog.analyses import analyses
from kpe_core.catalog.catalog import Catalog
from kpe_core.catalog.described import SQL
from tests.benchmarks.bench import heading, medians, row
from tests.benchmarks.large import large_store

N = 10_000_000
STEPS, STEPPED = 20, 100_000


def test_spearman() -> None:
    heading(f"Spearman's ρ of {N:,} pairs, SQL on all cores, SciPy on the one it uses")
    rng = np.random.default_rng(0)
    for name, x in (("no ties", rng.normal(size=N)), ("1000 different values", rng.integers(0, 1000, N).astype(float))):
        y = x + x.std() * rng.normal(size=N)
        with duckdb.connect() as con:
            con.execute((SQL / "macros.sql").read_text(encoding="utf-8"))
            con.register("pairs", pa.table({"x": x, "y": y}))

            def ours(con: duckdb.DuckDBPyConnection = con) -> float:
                return float(con.execute("SELECT rho FROM spearman_overall(pairs, x, y)").fetchall()[0][0])

            def theirs(x: np.ndarray = x, y: np.ndarray = y) -> float:
                return float(stats.spearmanr(x, y).statistic)

            assert abs(ours() - theirs()) < 1e-9
            seconds, scipys = medians(ours, theirs, rounds=3)
        row(f"{name}: seconds, SQL", f"{seconds:.2f}")
        row("  … times faster than scipy.stats.spearmanr", f"{scipys / seconds:.1f}", "≥ 4")
        assert seconds < 2 * scipys


def test_every_analysis_of_ten_million_samples(tmp_path: Path) -> None:
    heading(f"analyses of {N:,} samples in 5 runs, {N:,} densities, {5 * STEPPED * STEPS:,} steps")
    store = large_store(tmp_path, N, STEPS, STEPPED)
    seconds = {}
    for analysis in analyses():
        with Catalog(store) as catalog:
            start = time.perf_counter()
            analysis.run(catalog, "large")
            seconds[analysis.name] = time.perf_counter() - start
    row(f"all {len(seconds)}, seconds", f"{sum(seconds.values()):.1f}", "≤ 60")
    for name, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        row(f"  {name}", f"{spent:.2f}")
    assert sum(seconds.values()) < 600
