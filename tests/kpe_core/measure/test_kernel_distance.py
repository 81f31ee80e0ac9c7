"""Kernel distance against a brute force over all pairs, and against what is known of it."""

import numpy as np
import pytest

from kpe_core.measure import kernel_distance
from kpe_core.measure.bootstrap import Z
from kpe_core.measure.frechet import Features
from kpe_core.measure.kernel_distance import kid, kid_difference


def brute_force(x: Features, y: Features) -> float:
    """Gretton et al. 2012, eq. 3, pair by pair."""

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((np.dot(a.astype(np.float64), b.astype(np.float64)) / len(a) + 1) ** 3)

    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j)
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j)
    xy = sum(k(a, b) for a in x for b in y)
    return xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)


def sets(seed: int, n: int = 25, m: int = 18, f: int = 4, scale: float = 1.0) -> tuple[Features, Features]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, f)).astype(np.float32), (scale * rng.normal(size=(m, f))).astype(np.float32)


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_equals_the_sum_over_all_pairs(scale: float) -> None:
    x, y = sets(0, scale=scale)
    assert kid(x, y).value == pytest.approx(brute_force(x, y), rel=1e-12)
    assert kid(y, x).value == pytest.approx(brute_force(x, y), rel=1e-12)


def test_standard_error_is_the_jackknife_of_both_sets() -> None:
    x, y = sets(1, scale=1.5)
    without_x = np.array([brute_force(np.delete(x, i, axis=0), y) for i in range(len(x))])
    without_y = np.array([brute_force(x, np.delete(y, i, axis=0)) for i in range(len(y))])
    variance = (len(x) - 1) * without_x.var() + (len(y) - 1) * without_y.var()
    found = kid(x, y)
    assert found.high - found.value == pytest.approx(Z * np.sqrt(variance), rel=1e-9)
    assert found.value - found.low == pytest.approx(Z * np.sqrt(variance), rel=1e-9)


def test_mean_is_zero_for_samples_of_one_distribution_whatever_their_number() -> None:
    for n, m in ((20, 20), (60, 150)):
        found = [kid(*sets(seed, n, m)) for seed in range(400)]
        values = np.array([i.value for i in found])
        assert abs(values.mean()) < 3 * values.std() / np.sqrt(400)
        assert (values < 0).any()
        assert np.mean([i.low <= 0 <= i.high for i in found]) > 0.95


def test_mean_is_the_distance_of_the_distributions() -> None:
    """One feature, N(0, 1) and N(0, s²): E k(x, y) = E (xy + 1)³ = 1 + 3 Var x Var y."""
    s2 = 1.5**2
    truth = (1 + 3) + (1 + 3 * s2**2) - 2 * (1 + 3 * s2)
    found = [kid(*sets(seed, 300, 200, f=1, scale=1.5)) for seed in range(300)]
    values = np.array([i.value for i in found])
    assert abs(values.mean() - truth) < 3 * values.std() / np.sqrt(300)
    assert np.mean([(i.high - i.value) / Z for i in found]) == pytest.approx(values.std(), rel=0.2)


def test_order_of_rows_and_size_of_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = sets(2, 90, 70)
    whole = kid(x, y)
    rng = np.random.default_rng(0)
    assert kid(rng.permutation(x), rng.permutation(y)) == pytest.approx(whole, rel=1e-10)
    monkeypatch.setattr(kernel_distance, "BLOCK_BYTES", 8 * 70 * 7)
    assert kid(x, y) == pytest.approx(whole, rel=1e-10)


def test_paired_difference_is_exact_and_tighter_than_unpaired() -> None:
    """Shaping moves each sample a little: most of kid's own error is common to both runs."""
    real, plain = sets(3, 300, 200)
    shaped = plain + 0.05
    found = kid_difference(real, shaped, plain)
    of_shaped, of_plain = kid(real, shaped), kid(real, plain)
    assert found.value == pytest.approx(of_shaped.value - of_plain.value, abs=1e-12)
    assert found.high - found.low < 0.5 * (of_shaped.high - of_shaped.low)
    assert kid_difference(real, plain, plain) == (0.0, 0.0, 0.0)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="kid of 25 and 2 rows: at least 3 of each"):
        kid(*sets(0, 25, 2))
