"""Fréchet distance against closed forms, and its extrapolation against the truth that the plain one misses."""

import numpy as np
import pytest
from scipy import linalg, stats

from kpe_core.measure.frechet import DRAWS, PARTS, STREAM, Features, extrapolable, frechet, frechet_infinite, moments


def random_moments(seed: int, f: int = 6, rank: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(f, rank or f))
    return rng.normal(size=f), a @ a.T


def test_commuting_gaussians_in_closed_form() -> None:
    """‖μ_a − μ_b‖² + Σ (√a − √b)² for diagonal covariances."""
    a = (np.array([0.0, 0.0]), np.diag([4.0, 9.0]))
    b = (np.array([3.0, 4.0]), np.diag([1.0, 16.0]))
    assert frechet(a, b) == pytest.approx(25 + (2 - 1) ** 2 + (3 - 4) ** 2)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_scipys_matrix_root(seed: int) -> None:
    a, b = random_moments(seed), random_moments(seed + 100)
    root = linalg.sqrtm(a[1] @ b[1]).real
    expected = np.sum((a[0] - b[0]) ** 2) + np.trace(a[1] + b[1] - 2 * root)
    assert frechet(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet(b, a) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("rank", [2, 6])
def test_of_a_set_with_itself_is_zero_also_when_singular(rank: int) -> None:
    a = random_moments(0, rank=rank)
    assert frechet(a, a) == pytest.approx(0.0, abs=1e-6)


def test_weights_count_rows() -> None:
    """What makes a bootstrap resample cheap: counts instead of copies."""
    features = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    counts = np.random.default_rng(1).multinomial(40, np.full(40, 1 / 40))
    mean, covariance = moments(features, counts.astype(float))
    expected = moments(np.repeat(features, counts, axis=0))
    assert mean == pytest.approx(expected[0])
    assert covariance == pytest.approx(expected[1])


def test_moments_are_mean_and_unbiased_covariance() -> None:
    mean, covariance = moments(np.array([[0, 0], [2, 4]], dtype=np.float32))
    assert mean.tolist() == [1.0, 2.0]
    assert covariance.tolist() == [[2.0, 4.0], [4.0, 8.0]]


# -- extrapolated ----------------------------------------------------------------------------------------------------

SPREAD = np.sqrt(np.geomspace(1.0, 0.05, 8))


def pair(seed: int, scale: float = 1.0, shift: float = 0.0) -> tuple[Features, Features]:
    """300 and 400 rows of N(0, S²) and N(shift, scale² S²), eight features."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(300, 8)) * SPREAD, shift + scale * rng.normal(size=(400, 8)) * SPREAD


def test_between_samples_of_one_gaussian_only_the_extrapolated_distance_is_zero() -> None:
    plain, infinite = [], []
    for seed in range(16):
        a, b = pair(seed)
        plain.append(frechet(moments(a), moments(b)))
        infinite.append(frechet_infinite(a, b, seed))
    values = np.array([i.value for i in infinite])
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert min(plain) > 0.01
    assert np.mean(plain) > 10 * np.std(plain) / np.sqrt(len(plain))
    assert abs(values.mean()) < 3 * error
    assert (values < 0).any()
    assert sum(i.low <= 0 <= i.high for i in infinite) >= 15


def test_between_two_gaussians_it_is_the_closed_form() -> None:
    scale, shift = 1.2, 0.15
    truth = 8 * shift**2 + np.sum((SPREAD * (scale - 1)) ** 2)
    found = [frechet_infinite(*pair(seed, scale, shift), seed) for seed in range(24)]
    plain = [frechet(*map(moments, pair(seed, scale, shift))) for seed in range(24)]
    values, errors = (np.array(v) for v in ([i.value for i in found], [(i.high - i.value) / 1.96 for i in found]))
    assert abs(values.mean() - truth) < 3 * values.std(ddof=1) / np.sqrt(24)
    assert np.mean(plain) - truth > 3 * np.std(plain, ddof=1) / np.sqrt(24)
    # the standard error it states is the one it has
    assert errors.mean() == pytest.approx(values.std(ddof=1), rel=0.35)
    assert sum(i.low <= truth <= i.high for i in found) >= 20


def test_is_the_intercept_of_a_line_through_distances_of_disjoint_parts() -> None:
    a, b = pair(0, 1.2)
    rng = np.random.Generator(np.random.Philox(key=[5, STREAM]))
    distances = np.zeros((DRAWS, PARTS))
    for draw in range(DRAWS):
        x, y = a[rng.permutation(300)], b[rng.permutation(400)]
        for m in range(1, PARTS + 1):
            parts = zip(np.array_split(x, m), np.array_split(y, m), strict=True)
            distances[draw, m - 1] = np.mean([frechet(moments(i), moments(j)) for i, j in parts])
    line = stats.linregress(np.arange(1, PARTS + 1), distances.mean(axis=0))
    assert line.rvalue > 0.99
    assert frechet_infinite(a, b, 5).value == pytest.approx(line.intercept, rel=1e-9)


def test_is_seeded_and_nearly_indifferent_to_the_seed() -> None:
    a, b = pair(0, 1.2)
    assert frechet_infinite(a, b, 3) == frechet_infinite(a, b, 3)
    values = [frechet_infinite(a, b, seed) for seed in range(8)]
    assert 0 < np.std([i.value for i in values]) < 0.5 * (values[0].high - values[0].value) / 1.96


def test_too_few_rows_are_refused() -> None:
    assert extrapolable(64, 64, 8)
    assert not extrapolable(64, 63, 8)
    with pytest.raises(ValueError, match="of 64 and 63 rows of 8 features: 64 rows of each are needed"):
        frechet_infinite(np.zeros((64, 8)), np.zeros((63, 8)), 0)
