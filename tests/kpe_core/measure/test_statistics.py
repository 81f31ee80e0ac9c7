"""Rank statistics against SciPy, brute force over pairs, and what they claim to cover."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kpe_core.errors import UserError
from kpe_core.measure.statistics import (
    EXACT_UP_TO,
    bin_distances,
    cohens_d,
    mann_whitney,
    quantile_bins,
    spearman,
)

pytestmark = pytest.mark.filterwarnings("error")

few_values = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=30)


# -- Spearman --------------------------------------------------------------------------------------------------------


@given(pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=60))
@settings(deadline=None, max_examples=60)
def test_spearman_is_scipys_ties_included(pairs: list[tuple[int, int]]) -> None:
    x, y = map(np.array, zip(*pairs, strict=True))
    found = spearman(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert np.isnan([found.rho, found.low, found.high, found.p]).all()
        return
    expected = stats.spearmanr(x, y)
    assert found.rho == pytest.approx(expected.statistic, abs=1e-12)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-9)
    assert found.n == len(x)


@given(n=st.integers(4, 300))
@settings(deadline=None)
def test_spearman_of_a_monotone_relation_is_one_to_the_last_bit(n: int) -> None:
    x = np.random.default_rng(n).normal(size=n)
    up, down = spearman(x, np.exp(x)), spearman(x, -(x**3))
    assert (up.rho, up.low, up.high, up.p) == (1, 1, 1, 0)
    assert (down.rho, down.low, down.high, down.p) == (-1, -1, -1, 0)


def test_infinities_are_ranked() -> None:
    """The k-NN density of an exact copy is infinite."""
    assert spearman([1, 2, 3, 4, 5], [-np.inf, 7, 5, 8, np.inf]) == spearman([1, 2, 3, 4, 5], [1, 3, 2, 4, 5])


def confounded(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x and y share z and w and nothing else."""
    rng = np.random.default_rng(seed)
    z, w = rng.normal(size=(2, n))
    return z + w + rng.normal(size=n), z - w + rng.normal(size=n), z, w


def test_partial_spearman_inverts_the_rank_correlations() -> None:
    """−P₀₁ / √(P₀₀ P₁₁), P the inverse of the matrix of rank correlations, ties included."""
    columns = np.column_stack(confounded(0, 300)).round(1)
    inverse = np.linalg.inv(np.corrcoef(stats.rankdata(columns, axis=0).T))
    expected = -inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1])
    x, y, z, w = columns.T
    assert spearman(x, y, given=(z, w)).rho == pytest.approx(expected, abs=1e-12)


def test_partial_spearman_given_one_is_the_textbook_formula() -> None:
    x, y, z, _ = confounded(1, 200)
    xy, xz, yz = spearman(x, y).rho, spearman(x, z).rho, spearman(y, z).rho
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert spearman(x, y, given=[z]).rho == pytest.approx(expected, abs=1e-12)


def test_what_the_given_explain_wholly_has_no_correlation_left() -> None:
    x, y, z, _ = confounded(2, 100)
    for found in (spearman(x, y, given=[np.exp(x)]), spearman(x, x, given=[z, -x])):
        assert np.isnan([found.rho, found.low, found.high, found.p]).all()
    assert np.isfinite(spearman(x, y, given=[z, z]).rho)  # the same thing twice is known once


def test_interval_is_that_of_the_sql_macros() -> None:
    macros = (Path(__file__).parents[3] / "sql" / "macros.sql").read_text()
    x, y, z, w = confounded(3, 80)
    found = spearman(x, y, given=[z, w])
    with duckdb.connect() as con:
        con.execute(macros)
        ends = con.execute(f"SELECT spearman_low({found.rho}, 78), spearman_high({found.rho}, 78)").fetchall()[0]
    assert (found.low, found.high) == pytest.approx(ends, abs=1e-9)


def test_interval_covers_the_truth_and_p_is_uniform_without_correlation() -> None:
    """Bivariate normal, r = 0.6: ρ = (6/π) asin(r/2)."""
    rng, truth, held, p = np.random.default_rng(1), 6 / np.pi * np.arcsin(0.3), [], []
    for _ in range(400):
        x = rng.normal(size=100)
        found = spearman(x, 0.6 * x + 0.8 * rng.normal(size=100))
        held.append(found.low <= truth <= found.high)
        p.append(spearman(*rng.normal(size=(2, 30)), given=[rng.normal(size=30)]).p)
    assert np.mean(held) == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / 400))
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_a_handful_of_values_has_a_correlation_and_no_interval() -> None:
    found = spearman([1, 2, 3], [1, 3, 2])
    assert found.rho == pytest.approx(0.5)
    assert np.isnan([found.low, found.high]).all()
    assert found.p == pytest.approx(stats.spearmanr([1, 2, 3], [1, 3, 2]).pvalue)
    assert np.isnan(spearman([1, 2], [1, 2]).p)


# -- Mann–Whitney ----------------------------------------------------------------------------------------------------


@given(a=few_values, b=few_values)
@settings(deadline=None, max_examples=60)
def test_u_counts_pairs(a: list[float], b: list[float]) -> None:
    expected = sum((x > y) + 0.5 * (x == y) for x in a for y in b)
    found = mann_whitney(a, b)
    assert found.u == expected
    assert found.auc == pytest.approx(expected / (len(a) * len(b)))
    assert found.cliffs_delta == pytest.approx(sum(np.sign(x - y) for x in a for y in b) / (len(a) * len(b)))


@given(a=few_values, b=few_values)
@settings(deadline=None, max_examples=60)
def test_normal_p_is_scipys_with_ties_and_continuity(a: list[float], b: list[float]) -> None:
    found = mann_whitney([*a, 0.0], [*b, 0.0])  # tied
    if np.isnan(found.z):
        assert {*a, *b} == {0.0}
        assert np.isnan(found.p)
        return
    expected = stats.mannwhitneyu([*a, 0.0], [*b, 0.0], method="asymptotic", use_continuity=True)
    assert found.method == "normal"
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert np.sign(found.z) in (0, np.sign(found.auc - 0.5))


def test_exact_p_by_counting_every_order() -> None:
    """The three of a among seven: of C(7, 3) = 35 equally likely sets of ranks, so many are as far from the middle."""
    from itertools import combinations

    a, b = [0.1, 0.2, 0.5], [0.3, 0.6, 0.7, 0.9]
    sums = np.array([sum(ranks) for ranks in combinations(range(1, 8), 3)])
    ours = 1 + 2 + 4
    found = mann_whitney(a, b)
    assert found.method == "exact"
    assert found.p == pytest.approx(np.mean(abs(sums - 12) >= abs(ours - 12)))


def test_exact_only_where_small_and_untied() -> None:
    rng = np.random.default_rng(0)
    at, beyond = rng.normal(size=EXACT_UP_TO), rng.normal(size=EXACT_UP_TO + 1)
    found = mann_whitney(at, at + 0.3)
    assert found.method == "exact"
    assert found.p == pytest.approx(stats.mannwhitneyu(at, at + 0.3, method="exact").pvalue)
    assert mann_whitney(at, beyond).method == mann_whitney(beyond, at).method == "normal"
    assert mann_whitney([1, 2, 3], [3, 4, 5]).method == "normal"


def test_log_p_goes_on_where_p_underflows() -> None:
    a = np.arange(3000.0)
    far, near = mann_whitney(a + 2900, a), mann_whitney(a + 100, a)
    assert far.p == 0
    assert far.log_p == pytest.approx(np.log(2) + stats.norm.logsf(far.z), rel=1e-12)
    assert far.log_p < -1000
    assert near.log_p == pytest.approx(np.log(near.p), rel=1e-9)


# -- effect sizes ----------------------------------------------------------------------------------------------------


def test_cohens_d() -> None:
    assert cohens_d([1, 2, 3], [3, 4, 5]) == pytest.approx(-2.0)
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 2, size=20_000), rng.normal(0, 2, size=10_000)
    assert cohens_d(a, b) == pytest.approx(0.5, abs=0.04)
    assert np.isnan(cohens_d([1, 1], [2, 2]))
    assert np.isnan(cohens_d([0.1] * 3, [0.1] * 7))


@given(values=st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=50, unique=True), bins=st.integers(2, 7))
@settings(deadline=None)
def test_bins_are_equally_filled_and_in_order(values: list[float], bins: int) -> None:
    if len(values) < bins:
        return
    bin_of = quantile_bins(values, bins)
    sizes = np.bincount(bin_of, minlength=bins)
    assert len(sizes) == bins
    assert sizes.max() - sizes.min() <= 1
    assert (np.diff(bin_of[np.argsort(values)]) >= 0).all()


@given(values=st.lists(st.integers(0, 3), min_size=5, max_size=40))
@settings(deadline=None)
def test_equal_values_share_a_bin(values: list[int]) -> None:
    bin_of = quantile_bins(values, 5)
    assert all(len(set(bin_of[np.array(values) == v])) == 1 for v in set(values))
    assert bin_of.min() >= 0
    assert bin_of.max() <= 4


def test_distances_of_shifted_bins() -> None:
    """Values are noise of one shape, raised by 2 a bin: every distance is known."""
    by = np.arange(90)
    noise = np.tile(np.random.default_rng(0).normal(size=30), 3)
    found = bin_distances(noise + 2.0 * (by // 30), by, 3)
    assert [(d.bin, d.n) for d in found] == [(1, 30), (2, 30)]
    assert [d.wasserstein for d in found] == pytest.approx([2.0, 4.0])
    assert [d.mean_difference.value for d in found] == pytest.approx([2.0, 4.0])
    low, middle, high = np.split(noise + 2.0 * (by // 30), 3)
    for d, here in zip(found, (middle, high), strict=True):
        welch = stats.ttest_ind(here, low, equal_var=False).confidence_interval(0.95)
        assert d.mean_difference[1:] == pytest.approx((welch.low, welch.high))
        assert d.cliffs_delta == mann_whitney(here, low).cliffs_delta


def test_wasserstein_sees_what_means_do_not() -> None:
    by = np.arange(200)
    values = np.where(by < 100, 1.0, 3.0) * np.tile([-1.0, 1.0], 100)
    (found,) = bin_distances(values, by, 2)
    assert found.wasserstein == pytest.approx(2.0)
    assert (found.cliffs_delta, found.mean_difference.value) == (0.0, 0.0)


def test_constant_input_is_nan_or_nothing() -> None:
    (found,) = bin_distances(np.ones(20), np.arange(20), 2)
    assert (found.wasserstein, found.cliffs_delta, *found.mean_difference) == (0, 0, 0, 0, 0)
    for d in bin_distances(np.arange(20), np.ones(20), 3):  # all in the middle bin: the lowest is empty
        assert np.isnan([d.wasserstein, d.cliffs_delta, *d.mean_difference]).all()
    single = bin_distances([1.0, 2.0], [1.0, 2.0], 2)[0].mean_difference
    assert single.value == 1.0
    assert np.isnan(single.low)


# -- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spearman([1, np.nan, 3], [1, 2, 3]), "x: 1 of 3 values are NaN, first at 1; leave those rows out"),
        (lambda: spearman([1, 2], [1, 2], given=[[1, np.nan]]), r"given\[0\]: 1 of 2 values are NaN"),
        (lambda: spearman([1, 2, 3], [1, 2]), "variables of 3, 2 values"),
        (lambda: mann_whitney([1.0], [np.nan]), "b: 1 of 1 values are NaN"),
        (lambda: mann_whitney([], [1.0]), r"a has shape \(0,\)"),
        (lambda: cohens_d([1.0, np.inf], [1.0]), "a: 1 of 2 values are not finite"),
        (lambda: quantile_bins([1, np.nan], 2), "by: 1 of 2 values are NaN"),
        (lambda: quantile_bins([1, 2, 3], 1), "1 bins of 3 values; give at least 2 bins"),
        (lambda: quantile_bins([1, 2, 3], 4), "4 bins of 3 values"),
        (lambda: bin_distances([1, np.inf], [1, 2], 2), "values: 1 of 2 values are not finite"),
        (lambda: bin_distances([1, 2, 3], [1, 2], 2), "3 values by 2"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        call()
