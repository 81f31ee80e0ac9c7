"""Fréchet distance and precision/recall against closed forms and literal transcriptions."""

import numpy as np
import pytest
from scipy import linalg

from kpe_core.measure.fidelity import frechet, moments, precision_recall


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


def test_identical_sets_cover_each_other() -> None:
    features = np.random.default_rng(0).normal(size=(200, 32)).astype(np.float32)
    assert precision_recall(features, features) == (1.0, 1.0)


def test_distant_sets_do_not_touch() -> None:
    features = np.random.default_rng(0).normal(size=(200, 32)).astype(np.float32)
    assert precision_recall(features, features + 100) == (0.0, 0.0)


def test_a_collapsed_generator_is_precise_but_does_not_recall() -> None:
    real = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    collapsed = real[[0]] + 0.01 * np.random.default_rng(1).normal(size=(100, 8)).astype(np.float32)
    precision, recall = precision_recall(real, collapsed)
    assert precision == 1.0
    assert recall < 0.02


@pytest.mark.parametrize("k", [1, 3])
def test_is_the_papers_definition(k: int) -> None:
    rng = np.random.default_rng(5)
    real, fake = rng.normal(size=(60, 4)).astype(np.float32), 0.8 * rng.normal(size=(50, 4)).astype(np.float32) + 0.3

    def share_inside(points: np.ndarray, manifold: np.ndarray) -> float:
        inside = []
        for p in points.astype(float):
            for m in manifold.astype(float):
                radius = np.sort(np.linalg.norm(manifold - m, axis=1))[k]  # [0] is m itself
                if np.linalg.norm(p - m) <= radius:
                    inside.append(True)
                    break
        return len(inside) / len(points)

    expected = share_inside(fake, real), share_inside(real, fake)
    assert 0 < expected[0] < 1
    assert precision_recall(real, fake, k) == pytest.approx(expected)


def test_exact_copies_are_inside_balls_of_radius_zero() -> None:
    real = 5 * np.random.default_rng(0).normal(size=(200, 32)).astype(np.float32)
    assert precision_recall(real, np.repeat(real[:10], 20, axis=0)) == (1.0, 10 / 200)
