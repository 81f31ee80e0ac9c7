"""The macros against SciPy and NumPy: ties, NULL, NaN, infinities, one row, no rows."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kpe_core.measure.bootstrap import Resamples, mean_interval
from kpe_core.measure.statistics import cohens_d, quantile_bins, spearman

SQL = Path(__file__).parents[2] / "sql"
Con = duckdb.DuckDBPyConnection


@pytest.fixture(scope="module")
def con() -> Iterator[Con]:
    with duckdb.connect() as connection:
        connection.execute((SQL / "macros.sql").read_text())
        yield connection


def ask(con: Con, sql: str, **frames: pd.DataFrame | pa.Table) -> list[dict[str, Any]]:
    """The answer's rows; frames become relations of their names."""
    for name, frame in frames.items():
        con.register(name, frame)
    return list(con.sql(sql).to_arrow_table().to_pylist())


def one(con: Con, sql: str, **frames: pd.DataFrame) -> float:
    (row,) = ask(con, sql, **frames)
    (value,) = row.values()
    return float(value)


# Few different values, so that most tie; NULL, NaN and infinities among them.
value = st.sampled_from([0.0, 1.0, 2.0, 3.5, -1.0, np.inf, -np.inf, np.nan, None])
rows = st.lists(st.tuples(value, value, value), max_size=40)
Rows = list[tuple[float | None, ...]]


def relation(columns: Rows, names: str) -> pa.Table:
    """Columns of doubles; None is NULL, NaN stays NaN."""
    return pa.table({name: pa.array([c[i] for c in columns], pa.float64()) for i, name in enumerate(names)})


def numbers(columns: Rows, width: int) -> np.ndarray:
    """(n, width) of those rows in which every value is a number."""
    found = np.array([c[:width] for c in columns], dtype=np.float64).reshape(-1, width)
    return found[~np.isnan(found).any(axis=1)]


def varies(x: np.ndarray) -> bool:
    return len(x) > 1 and bool(np.any(x != x[0]))


@settings(max_examples=60)
@given(rows)
def test_spearman(con: Con, columns: Rows) -> None:
    found = ask(con, "FROM spearman(t, x, y, NULL)", t=relation(columns, "xy"))
    kept = numbers(columns, 2)
    if not len(kept):
        assert found == []
        assert ask(con, "SELECT n, rho, low FROM spearman_overall(t, x, y)") == [{"n": 0, "rho": None, "low": None}]
        return
    (row,) = found
    assert [row] == [{"per": None} | overall for overall in ask(con, "FROM spearman_overall(t, x, y)")]
    assert row["n"] == len(kept)
    if varies(kept[:, 0]) and varies(kept[:, 1]):
        truth = spearman(*kept.T)
        assert row["rho"] == pytest.approx(stats.spearmanr(*kept.T).statistic, abs=1e-12)
        if len(kept) > 3 and abs(truth.rho) < 1:
            assert (row["low"], row["high"]) == pytest.approx((truth.low, truth.high), abs=1e-6)
    else:
        assert row["rho"] is None


@settings(max_examples=60)
@given(rows)
def test_partial_spearman(con: Con, columns: Rows) -> None:
    """Against what a least-squares fit on the third's ranks leaves."""
    kept = numbers(columns, 3)
    for row in ask(con, "FROM partial_spearman(t, x, y, z, NULL)", t=relation(columns, "xyz")):
        assert row["n"] == len(kept)
        if not all(varies(column) for column in kept.T):
            assert row["rho"] is None
            continue
        rho = np.corrcoef([stats.rankdata(column) for column in kept.T])
        if max(abs(rho[0, 2]), abs(rho[1, 2])) < 1 - 1e-9:
            assert row["rho"] == pytest.approx(spearman(kept[:, 0], kept[:, 1], given=[kept[:, 2]]).rho, abs=1e-9)


@settings(max_examples=80)
@given(rows)
def test_mann_whitney(con: Con, columns: Rows) -> None:
    sides = [None if y is None else bool(y > 0) for _, y, _ in columns]
    x = np.array([c[0] for c in columns], dtype=np.float64)
    a, b = (
        np.array([v for v, f in zip(x, sides, strict=True) if f is side and not np.isnan(v)]) for side in (True, False)
    )
    frame = relation(columns, "x").append_column("f", pa.array(sides, pa.bool_()))
    found = ask(con, "FROM mann_whitney(t, x, f, NULL)", t=frame)
    if not len(a) + len(b):
        assert found == []
        return
    (row,) = found
    assert (row["n_first"], row["n_other"]) == (len(a), len(b))
    if not (len(a) and len(b)):
        assert (row["auc"], row["p"], row["p_exact"]) == (None, None, None)
        return
    truth = stats.mannwhitneyu(a, b, method="asymptotic")
    assert row["u"] == truth.statistic
    assert row["auc"] == pytest.approx(truth.statistic / (len(a) * len(b)))
    if varies(np.concatenate([a, b])):
        assert row["p"] == pytest.approx(truth.pvalue, rel=1e-6)
    else:
        assert (row["z"], row["p"]) == (None, None)


@pytest.mark.parametrize(("n_a", "n_b"), [(1, 1), (1, 6), (4, 3), (8, 8), (20, 7), (20, 20)])
def test_mann_whitney_counts_the_orders_of_small_samples(con: Con, n_a: int, n_b: int) -> None:
    rng = np.random.default_rng(n_a)
    for shift in (0.0, 0.7, 4.0):
        a, b = rng.normal(shift, size=n_a), rng.normal(size=n_b)
        frame = pd.DataFrame({"x": np.r_[a, b], "f": np.arange(n_a + n_b) < n_a})
        (row,) = ask(con, "FROM mann_whitney(t, x, f, NULL)", t=frame)
        assert row["p_exact"] == pytest.approx(stats.mannwhitneyu(a, b, method="exact").pvalue, rel=1e-12)
    tied = pd.DataFrame({"x": [1, 1, 2], "f": [True, False, True]})
    many = pd.DataFrame({"x": np.arange(30), "f": np.arange(30) < 25})
    assert [ask(con, "FROM mann_whitney(t, x, f, NULL)", t=t)[0]["p_exact"] for t in (tied, many)] == [None, None]


def test_groups_are_apart(con: Con) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 9, (600, 3)), columns=["x", "y", "z"])
    frame["g"] = rng.choice(["a", "b", "c"], 600)
    frame["f"] = rng.random(600) < 0.3
    for row in ask(con, "FROM spearman(t, x, y, g)", t=frame):
        here = frame[frame.g == row["per"]]
        assert row["rho"] == pytest.approx(stats.spearmanr(here.x, here.y).statistic, abs=1e-12)
    for row in ask(con, "FROM mann_whitney(t, x, f, g)"):
        here = frame[frame.g == row["per"]]
        truth = stats.mannwhitneyu(here.x[here.f], here.x[~here.f], method="asymptotic")
        assert (row["u"], row["p"]) == (truth.statistic, pytest.approx(truth.pvalue, rel=1e-6))
    for row in ask(con, "FROM partial_spearman(t, x, y, z, {a: g, b: f})"):
        here = frame[(frame.g == row["per"]["a"]) & (frame.f == row["per"]["b"])]
        assert row["rho"] == pytest.approx(spearman(here.x, here.y, given=[here.z]).rho, abs=1e-10)


@settings(max_examples=60)
@given(st.lists(value, min_size=1, max_size=40), st.integers(2, 7))
def test_ranks_and_quantile_bins(con: Con, values: list[float | None], bins: int) -> None:
    frame = pa.table({"i": range(len(values)), "x": pa.array(values, pa.float64())})
    sql = f"SELECT average_rank(x, NULL) AS r, quantile_bin(x, {bins}, NULL) AS q FROM t ORDER BY i"
    found = ask(con, sql, t=frame)
    kept = [i for i, v in enumerate(values) if v is not None and not np.isnan(v)]
    x = np.array([values[i] for i in kept], dtype=np.float64)
    assert [found[i]["r"] for i in kept] == list(stats.rankdata(x))
    if len(x) >= bins:
        assert [found[i]["q"] - 1 for i in kept] == quantile_bins(x, bins).tolist()
    assert all(found[i]["r"] is None and found[i]["q"] is None for i in set(range(len(values))) - set(kept))


def test_bootstrap_is_the_ordinary_one_up_to_a_thousand_rows(con: Con) -> None:
    rng = np.random.default_rng(3)
    for x in (rng.exponential(size=300), (rng.random(1000) < 0.2).astype(float), rng.normal(size=25)):
        frame = pd.DataFrame({"i": np.arange(len(x)), "x": x})
        (row,) = ask(con, "FROM bootstrap_ci(t, i, x, NULL, draws := 2000)", t=frame)
        truth = mean_interval(x, Resamples(len(x), 10_000, 0), "percentile")
        width = truth.high - truth.low
        assert (row["n"], row["mean"]) == (len(x), pytest.approx(x.mean()))
        assert (row["low"], row["high"]) == pytest.approx((truth.low, truth.high), abs=0.08 * width)


def test_bootstrap_of_many_rows_has_the_width_of_the_mean(con: Con) -> None:
    x = np.random.default_rng(4).exponential(size=50_000)
    frame = pd.DataFrame({"i": np.arange(len(x)), "x": x})
    (row,) = ask(con, "FROM bootstrap_ci(t, i, x, NULL)", t=frame)
    width = 2 * 1.96 * x.std() / np.sqrt(len(x))
    assert row["high"] - row["low"] == pytest.approx(width, rel=0.15)
    assert row["low"] < x.mean() < row["high"]


def test_bootstrap_is_seeded_and_pairs_groups(con: Con) -> None:
    x = np.random.default_rng(5).normal(size=200)
    frame = pd.DataFrame({"i": np.r_[np.arange(200)].repeat(2), "g": [0, 1] * 200, "x": np.c_[x, x + 1].ravel()})
    shuffled = frame.sample(frac=1, random_state=0)
    ask_for = "SELECT * FROM bootstrap_ci({}, i, x, g{}) ORDER BY per"
    first, again = ask(con, ask_for.format("t", ""), t=frame), ask(con, ask_for.format("s", ""), s=shuffled)
    for here, there in zip(first, again, strict=True):
        assert (here["low"], here["high"]) == pytest.approx((there["low"], there["high"]), rel=1e-12)
    assert first[1]["low"] == pytest.approx(first[0]["low"] + 1, rel=1e-12)
    other = ask(con, ask_for.format("t", ", seed := 1"))
    assert other[0]["low"] != first[0]["low"]
    holes = pa.table({"i": [0, 1, 2, 3], "x": [1.0, np.nan, 3.0, None]})
    (row,) = ask(con, "FROM bootstrap_ci(t, i, x, NULL)", t=holes)
    assert (row["n"], row["mean"], row["low"], row["high"]) == (2, 2.0, 1.0, 3.0)
    (row,) = ask(con, "FROM bootstrap_ci(t, i, x, NULL)", t=holes[:1])
    assert (row["n"], row["low"], row["high"]) == (1, 1.0, 1.0)
    assert ask(con, "FROM bootstrap_ci(t, i, x, NULL)", t=holes[:0]) == []


def test_partial_correlation_is_that_of_residuals(con: Con) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=500)
    x, y = z + rng.normal(size=500), -z + rng.normal(size=500)
    r = np.corrcoef([x, y, z])
    design = np.column_stack([z, np.ones(500)])
    left, right = (v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (x, y))
    ours = one(con, f"SELECT partial_corr({r[0, 1]}, {r[0, 2]}, {r[1, 2]})")
    assert ours == pytest.approx(np.corrcoef(left, right)[0, 1], abs=1e-12)


def test_cohens_d(con: Con) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=90), "f": rng.random(90) < 0.3})
    truth = cohens_d(frame.x[frame.f], frame.x[~frame.f])
    assert one(con, "SELECT cohens_d(x, f) FROM t", t=frame) == pytest.approx(truth, rel=1e-12)
    frame["x"] = 1.0
    assert ask(con, "SELECT cohens_d(x, f) AS d FROM t", t=frame) == [{"d": None}]
    assert ask(con, "SELECT cohens_d(x, f) AS d FROM t", t=frame[:0]) == [{"d": None}]


@pytest.mark.parametrize("z", [0.0, 0.3, -1.959964, 4.0, 9.0, -30.0])
def test_normal_p(con: Con, z: float) -> None:
    assert one(con, f"SELECT normal_p({z}::DOUBLE)") == pytest.approx(2 * stats.norm.sf(abs(z)), rel=2e-7)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (437, 1000), (1, 1), (3, 10_000_000)])
def test_wilson_interval(con: Con, k: int, n: int) -> None:
    truth = stats.binomtest(k, n).proportion_ci(method="wilson")
    assert one(con, f"SELECT wilson_low({k / n}::DOUBLE, {n})") == pytest.approx(truth.low, abs=1e-12)
    assert one(con, f"SELECT wilson_high({k / n}::DOUBLE, {n})") == pytest.approx(truth.high, abs=1e-12)


def test_fisher_interval(con: Con) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=40)
    truth = stats.pearsonr(x, y := x + rng.normal(size=40)).confidence_interval()
    found = ask(con, "SELECT fisher_low(corr(x, y), 40) AS a, fisher_high(corr(x, y), 40) AS b FROM t",
                t=pd.DataFrame({"x": x, "y": y}))  # fmt: skip
    assert tuple(found[0].values()) == pytest.approx((truth.low, truth.high), rel=1e-10)


def test_what_cannot_be_told_is_null(con: Con) -> None:
    calls = [
        "wilson_low(NULL, 0)",
        "wilson_high(0.5, 0)",
        "fisher_low(0.5, 3)",
        "spearman_high(NULL, 9)",
        "normal_p(NULL)",
    ]
    assert ask(con, f"SELECT {', '.join(f'{c} AS c{i}' for i, c in enumerate(calls))}") == [
        {f"c{i}": None for i in range(len(calls))}
    ]


def test_spearman_interval_covers_the_truth(con: Con) -> None:
    """Bivariate normal with r = 0.6: the population ρ_s is (6/π) asin(r/2); 95 % of intervals should hold it."""
    rng, n, truth = np.random.default_rng(1), 200, 6 / np.pi * np.arcsin(0.3)
    x = rng.normal(size=(300, n))
    y = 0.6 * x + 0.8 * rng.normal(size=x.shape)
    frame = pd.DataFrame({"x": x.ravel(), "y": y.ravel(), "g": np.arange(300).repeat(n)})
    held = sum(row["low"] <= truth <= row["high"] for row in ask(con, "FROM spearman(t, x, y, g)", t=frame))
    assert 0.92 <= held / 300 <= 0.98


def test_every_macro_says_what_it_is() -> None:
    text = (SQL / "macros.sql").read_text()
    assert len(re.findall(r"^CREATE MACRO", text, re.MULTILINE)) == len(
        re.findall(r"^-- .*\nCREATE MACRO", text, re.MULTILINE)
    )
