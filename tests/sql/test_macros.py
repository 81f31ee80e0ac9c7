"""The macros against SciPy, ties included."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

SQL = Path(__file__).parents[2] / "sql"


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute((SQL / "macros.sql").read_text())
        yield connection


def one(con: duckdb.DuckDBPyConnection, sql: str, frame: pd.DataFrame | None = None) -> float:
    if frame is not None:
        con.register("t", frame)
    return float(con.execute(sql).fetchall()[0][0])


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=4, max_size=60))
def test_average_rank_gives_spearman_with_ties(con: duckdb.DuckDBPyConnection, values: list[tuple[int, int]]) -> None:
    x, y = map(np.array, zip(*values, strict=True))
    if len(set(x)) < 2 or len(set(y)) < 2:
        return
    ours = one(
        con,
        "SELECT corr(a, b) FROM (SELECT average_rank(x, 1) AS a, average_rank(y, 1) AS b FROM t)",
        pd.DataFrame({"x": x, "y": y}),
    )
    assert ours == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_partial_correlation_is_that_of_residuals(con: duckdb.DuckDBPyConnection) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=500)
    x, y = z + rng.normal(size=500), -z + rng.normal(size=500)
    r = np.corrcoef([x, y, z])
    design = np.column_stack([z, np.ones(500)])
    left, right = (v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (x, y))
    ours = one(con, f"SELECT partial_corr({r[0, 1]}, {r[0, 2]}, {r[1, 2]})")
    assert ours == pytest.approx(np.corrcoef(left, right)[0, 1], abs=1e-12)


@pytest.mark.parametrize("z", [0.0, 0.3, -1.959964, 4.0, 9.0, -30.0])
def test_normal_p(con: duckdb.DuckDBPyConnection, z: float) -> None:
    assert one(con, f"SELECT normal_p({z}::DOUBLE)") == pytest.approx(2 * stats.norm.sf(abs(z)), rel=2e-7)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (437, 1000), (1, 1)])
def test_wilson_interval(con: duckdb.DuckDBPyConnection, k: int, n: int) -> None:
    truth = stats.binomtest(k, n).proportion_ci(method="wilson")
    assert one(con, f"SELECT wilson_low({k / n}::DOUBLE, {n})") == pytest.approx(truth.low, abs=1e-6)
    assert one(con, f"SELECT wilson_high({k / n}::DOUBLE, {n})") == pytest.approx(truth.high, abs=1e-6)


def test_spearman_interval_covers_the_truth(con: duckdb.DuckDBPyConnection) -> None:
    """Bivariate normal with r = 0.6: the population ρ_s is (6/π) asin(r/2); 95 % of intervals should hold it."""
    rng, n, truth = np.random.default_rng(1), 200, 6 / np.pi * np.arcsin(0.3)
    held = 0
    for _ in range(300):
        x = rng.normal(size=n)
        rho = stats.spearmanr(x, 0.6 * x + 0.8 * rng.normal(size=n)).statistic
        low, high = con.execute(f"SELECT spearman_low({rho}, {n}), spearman_high({rho}, {n})").fetchall()[0]
        held += low <= truth <= high
    assert 0.92 <= held / 300 <= 0.98
