"""Bootstrap intervals: deterministic, in agreement with scipy, and covering what they claim to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kpe_core.measure.bootstrap import mean_interval, resample_counts, statistic_interval


@given(n=st.integers(1, 40), resamples=st.integers(1, 30), seed=st.integers(0, 2**63 - 1))
@settings(deadline=None, max_examples=30)
def test_every_resample_draws_n_rows(n: int, resamples: int, seed: int) -> None:
    counts = resample_counts(n, resamples, seed)
    assert counts.shape == (resamples, n)
    assert np.array_equal(counts.sum(axis=1), np.full(resamples, n))
    assert np.array_equal(counts, resample_counts(n, resamples, seed))


def test_seeds_differ() -> None:
    assert not np.array_equal(resample_counts(20, 10, 0), resample_counts(20, 10, 1))


def test_draws_are_uniform() -> None:
    """Each row's count is Binomial(n, 1/n): mean 1, variance 1 − 1/n."""
    counts = resample_counts(50, 20_000, 0)
    assert counts.mean(axis=0) == pytest.approx(np.ones(50), abs=0.04)
    assert counts.var() == pytest.approx(1 - 1 / 50, rel=0.02)


def test_agrees_with_scipys_percentile_bootstrap() -> None:
    values = np.random.default_rng(0).exponential(size=80)
    here = mean_interval(values, resample_counts(80, 20_000, 0))
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    width = theirs.high - theirs.low
    assert here.value == values.mean()
    assert here.low == pytest.approx(theirs.low, abs=0.04 * width)
    assert here.high == pytest.approx(theirs.high, abs=0.04 * width)


def test_covers_the_truth_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(0)
    counts = resample_counts(100, 1000, 0)
    covered = []
    for _ in range(600):
        _, low, high = mean_interval(rng.normal(3.0, 2.0, size=100), counts)
        covered.append(low <= 3.0 <= high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)


def test_paired_differences_are_tighter_than_unpaired_ones() -> None:
    """Why runs share their noise: the same counts resample both runs together (METHOD §7)."""
    rng = np.random.default_rng(0)
    plain = rng.normal(size=500)
    shaped = plain - 0.05 + 0.01 * rng.normal(size=500)
    counts = resample_counts(500, 1000, 0)
    paired = mean_interval(shaped - plain, counts)
    alone = mean_interval(shaped, counts)
    assert paired.high < 0
    assert paired.high - paired.low < 0.05 * (alone.high - alone.low)


def test_statistic_interval_of_a_mean_is_the_textbook_one() -> None:
    values = np.random.default_rng(0).normal(size=200)
    here = statistic_interval(lambda weights: float(np.average(values, weights=weights)), resample_counts(200, 4000, 0))
    half = 1.96 * values.std() / np.sqrt(200)
    assert here.value == values.mean()
    assert (here.high - here.value, here.value - here.low) == pytest.approx((half, half), rel=0.05)
