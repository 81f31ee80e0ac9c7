"""Bootstrap intervals: deterministic, scipy's to the last digits, and covering what they claim to."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kpe_core.measure import bootstrap
from kpe_core.measure.bootstrap import Floats, Resamples, mean_interval, mean_intervals, statistic_interval


def drawn(resamples: Resamples) -> Floats:
    return np.concatenate(list(resamples.counts()))


def weighted_mean(values: Floats) -> Callable[[Floats], Floats]:
    return lambda weights: weights @ values / weights.sum(axis=1)


# -- resamples -------------------------------------------------------------------------------------------------------


@given(n=st.integers(1, 40), draws=st.integers(1, 30), seed=st.integers(0, 2**63 - 1))
@settings(deadline=None, max_examples=30)
def test_every_resample_draws_n_rows(n: int, draws: int, seed: int) -> None:
    counts = drawn(Resamples(n, draws, seed))
    assert counts.shape == (draws, n)
    assert np.array_equal(counts.sum(axis=1), np.full(draws, n))
    assert np.array_equal(counts, drawn(Resamples(n, draws, seed)))


def test_seeds_differ() -> None:
    assert not np.array_equal(drawn(Resamples(20, 10, 0)), drawn(Resamples(20, 10, 1)))


def test_draws_are_uniform() -> None:
    """Each row's count is Binomial(n, 1/n): mean 1, variance 1 − 1/n."""
    counts = drawn(Resamples(50, 20_000, 0))
    assert counts.mean(axis=0) == pytest.approx(np.ones(50), abs=0.04)
    assert counts.var() == pytest.approx(1 - 1 / 50, rel=0.02)


@pytest.mark.parametrize("rows", [1, 7])
def test_draws_do_not_depend_on_the_block(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resamples = Resamples(33, 50, 4)
    whole = drawn(resamples)
    monkeypatch.setattr(bootstrap, "BLOCK_BYTES", rows * 8 * 33)
    assert len(next(resamples.counts())) == rows
    assert np.array_equal(drawn(resamples), whole)


# -- against scipy ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ours", "theirs"), [("percentile", "percentile"), ("bca", "BCa")])
@pytest.mark.parametrize("kind", ["exponential", "bernoulli", "far from 0"])
def test_is_scipys_on_the_same_draws(ours: bootstrap.Method, theirs: str, kind: str) -> None:
    rng = np.random.default_rng(0)
    values = {
        "exponential": rng.exponential(size=80),
        "bernoulli": (rng.random(80) < 0.1).astype(float),
        "far from 0": 1000 + rng.lognormal(size=80),
    }[kind]
    stream = np.random.Generator(np.random.Philox(key=[7, bootstrap.STREAM]))
    expected = stats.bootstrap((values,), np.mean, n_resamples=2000, method=theirs, rng=stream).confidence_interval
    by_mean = mean_interval(values, Resamples(80, 2000, 7), ours)
    by_statistic = statistic_interval(weighted_mean(values), Resamples(80, 2000, 7), ours)
    assert by_mean.value == values.mean()
    assert (by_mean.low, by_mean.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    if kind == "exponential":  # elsewhere rounding breaks ties between draws and value
        assert by_statistic == pytest.approx(by_mean, rel=1e-9)


def test_bca_of_another_statistic_is_scipys() -> None:
    """A ratio of means, paired: no closed-form jackknife."""
    rng = np.random.default_rng(1)
    x, y = rng.exponential(size=60), 2 + rng.exponential(size=60)
    stream = np.random.Generator(np.random.Philox(key=[3, bootstrap.STREAM]))
    expected = stats.bootstrap(
        (x, y), lambda a, b, axis: a.mean(axis) / b.mean(axis), paired=True, n_resamples=1000, method="BCa", rng=stream
    ).confidence_interval
    found = statistic_interval(lambda w: (w @ x) / (w @ y), Resamples(60, 1000, 3), "bca")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_jackknife_does_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).lognormal(size=70)
    whole = statistic_interval(weighted_mean(values), Resamples(70, 300, 0), "bca")
    monkeypatch.setattr(bootstrap, "BLOCK_BYTES", 8 * 70 * 3)
    assert statistic_interval(weighted_mean(values), Resamples(70, 300, 0), "bca") == pytest.approx(whole, rel=1e-12)


# -- coverage --------------------------------------------------------------------------------------------------------


def coverage(
    draw: Callable[[np.random.Generator], Floats], truth: float, method: bootstrap.Method
) -> tuple[float, float]:
    """Shares of 1000 intervals that lie wholly below and wholly above the truth."""
    rng = np.random.default_rng(0)
    columns = {str(i): draw(rng) for i in range(1000)}
    found = mean_intervals(columns, Resamples(len(columns["0"]), 1000, 0), method).values()
    return float(np.mean([i.high < truth for i in found])), float(np.mean([i.low > truth for i in found]))


NORMAL = (lambda rng: rng.normal(3.0, 2.0, size=200), 3.0)
SHARE = (lambda rng: (rng.random(200) < 0.3).astype(float), 0.3)
SKEWED = (lambda rng: rng.lognormal(size=200), float(np.exp(0.5)))
ERROR = 3 * np.sqrt(0.95 * 0.05 / 1000)


@pytest.mark.parametrize("method", ["bca", "percentile"])
@pytest.mark.parametrize(("draw", "truth"), [NORMAL, SHARE], ids=["normal", "share"])
def test_covers_the_truth_nineteen_times_in_twenty(
    draw: Callable[[np.random.Generator], Floats], truth: float, method: bootstrap.Method
) -> None:
    # one set of draws serves all columns, and a share has steps of 1/200: both cost a little
    assert 1 - sum(coverage(draw, truth, method)) == pytest.approx(0.95, abs=ERROR + 0.005)


def test_bca_misses_a_skewed_mean_less_often_and_less_lopsidedly() -> None:
    """Lognormal, n = 200: second-order accuracy (Efron and Tibshirani §14.3) shows in both tails."""
    bca, percentile = (coverage(*SKEWED, method) for method in ("bca", "percentile"))
    assert sum(bca) < sum(percentile)
    assert abs(bca[0] - bca[1]) < abs(percentile[0] - percentile[1])
    assert 1 - sum(bca) > 0.95 - ERROR - 0.02


def test_paired_differences_are_tighter_than_unpaired_ones() -> None:
    """Why runs share their noise: the same resamples draw both runs together (METHOD §7)."""
    rng = np.random.default_rng(0)
    plain = rng.normal(size=500)
    shaped = plain - 0.05 + 0.01 * rng.normal(size=500)
    resamples = Resamples(500, 1000, 0)
    paired, alone = mean_interval(shaped - plain, resamples), mean_interval(shaped, resamples)
    assert paired.high < 0
    assert paired.high - paired.low < 0.05 * (alone.high - alone.low)


def test_normal_interval_of_a_mean_is_the_textbook_one() -> None:
    values = np.random.default_rng(0).normal(size=200)
    here = statistic_interval(weighted_mean(values), Resamples(200, 4000, 0), "normal")
    half = 1.96 * values.std() / np.sqrt(200)
    assert here.value == pytest.approx(values.mean())
    assert (here.high - here.value, here.value - here.low) == pytest.approx((half, half), rel=0.05)


# -- edges -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["bca", "percentile", "normal"])
@given(value=st.floats(-1e300, 1e300), n=st.integers(1, 9))
@settings(deadline=None, max_examples=40)
def test_equal_values_have_an_interval_of_width_zero(method: bootstrap.Method, value: float, n: int) -> None:
    values = np.full(n, value)
    assert mean_interval(values, Resamples(n, 40, 0), method) == (values.mean(),) * 3


def test_equal_values_of_a_statistic_have_no_width_but_rounding() -> None:
    found = statistic_interval(weighted_mean(np.full(30, 0.1)), Resamples(30, 200, 0), "bca")
    assert found == pytest.approx((0.1, 0.1, 0.1), rel=1e-14)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_costs_its_own_column_the_interval(bad: float) -> None:
    good = np.arange(20.0)
    spoilt = np.where(good == 7, bad, good)
    found = mean_intervals({"good": good, "spoilt": spoilt}, Resamples(20, 100, 0))
    assert found["good"] == mean_interval(good, Resamples(20, 100, 0))
    np.testing.assert_array_equal(found["spoilt"], [bad, np.nan, np.nan])


def test_columns_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"kpe has shape \(3,\), but 4 rows are resampled"):
        mean_intervals({"kpe": np.zeros(3)}, Resamples(4, 10, 0))
