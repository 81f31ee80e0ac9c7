"""Precision, recall, density and coverage against literal transcriptions and known expectations."""

import numpy as np
import pytest

from kpe_core.measure import manifolds as module
from kpe_core.measure.frechet import Features
from kpe_core.measure.manifolds import Manifolds, manifolds


def summary(found: Manifolds) -> tuple[float, float, float, float]:
    return tuple(float(v.mean()) for v in (found.in_real, found.in_generated, found.density, found.covered))  # type: ignore[return-value]


def normal(seed: int, *shape: int) -> Features:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_identical_sets_cover_each_other() -> None:
    features = normal(0, 200, 32)
    precision, recall, _, coverage = summary(manifolds(features, features))
    assert (precision, recall, coverage) == (1.0, 1.0, 1.0)


def test_distant_sets_do_not_touch() -> None:
    features = normal(0, 200, 32)
    assert summary(manifolds(features, features + 100)) == (0.0, 0.0, 0.0, 0.0)


def test_a_collapsed_generator_is_precise_but_does_not_recall() -> None:
    real = normal(0, 300, 8)
    precision, recall, density, coverage = summary(manifolds(real, real[[0]] + 0.01 * normal(1, 100, 8)))
    assert precision == 1.0
    assert recall < 0.02
    assert density > 0.2  # crowded in few balls …
    assert coverage < 0.1  # … and most others are empty


@pytest.mark.parametrize(("k", "k_density"), [(1, 5), (3, 2)])
def test_are_the_papers_definitions(k: int, k_density: int) -> None:
    rng = np.random.default_rng(5)
    real, fake = rng.normal(size=(60, 4)).astype(np.float32), 0.8 * rng.normal(size=(50, 4)).astype(np.float32) + 0.3

    def inside(points: Features, manifold: Features, k: int) -> np.ndarray:
        """(points, manifold): whether the point lies in the ball."""
        found = np.zeros((len(points), len(manifold)), dtype=bool)
        for i, p in enumerate(points.astype(float)):
            for j, m in enumerate(manifold.astype(float)):
                radius = np.sort(np.linalg.norm(manifold - m, axis=1))[k]  # [0] is m itself
                found[i, j] = np.linalg.norm(p - m) <= radius
        return found

    in_balls = inside(fake, real, k_density)
    expected = (
        inside(fake, real, k).any(axis=1).mean(),
        inside(real, fake, k).any(axis=1).mean(),
        in_balls.sum() / (k_density * len(fake)),
        in_balls.any(axis=0).mean(),
    )
    found = manifolds(real, fake, k, k_density)
    assert min(expected) > 0
    assert max(expected[0], expected[1], expected[3]) < 1
    assert summary(found) == pytest.approx(expected)
    alone = in_balls[:, in_balls.sum(axis=0) == 1].sum(axis=1)
    assert alone.any()
    assert found.sole_cover.tolist() == alone.tolist()


@pytest.mark.parametrize(("n_real", "n_generated"), [(100, 100), (60, 200)])
def test_expectations_for_samples_of_one_distribution(n_real: int, n_generated: int) -> None:
    """Naeem et al. 2020, §3.3 and lemma 2: density 1, coverage 1 − Π (N−i)/(n+N−i); free of the distribution."""
    k = 5
    factors = [(n_real - i) / (n_generated + n_real - i) for i in range(1, k + 1)]
    draws = np.array([
        summary(manifolds(normal(2 * s, n_real, 3), normal(2 * s + 1, n_generated, 3) , k_density=k)) for s in range(150)
    ])  # fmt: skip
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert abs(draws[:, 2].mean() - 1) < 3 * error[2]
    assert abs(draws[:, 3].mean() - (1 - np.prod(factors))) < 3 * error[3]


def test_exact_copies_are_inside_balls_of_radius_zero() -> None:
    """Seven of each point: all balls have radius 0, and hold the seven copies alone."""
    points = 5 * normal(0, 40, 32)
    found = manifolds(np.repeat(points, 7, axis=0), np.repeat(points[:10], 5, axis=0))
    assert summary(found) == pytest.approx((1.0, 10 / 40, 7 / 5, 10 / 40), rel=1e-12)


@pytest.mark.parametrize(("step", "inside"), [(0.5e-7, 1.0), (2e-7, 0.0)])
def test_near_copies_are_told_apart(step: float, inside: float) -> None:
    """Points in pairs 1e-7 apart: a matrix product would round every distance between them to noise of 1e-6."""
    points = 5 * normal(0, 50, 32).astype(np.float64)
    along = np.eye(32)[0]
    found = manifolds(np.concatenate([points, points + 1e-7 * along]), points - step * along, 1, 1)
    assert found.in_real.mean() == inside


def test_a_copy_of_the_kth_neighbour_is_on_the_ball() -> None:
    """d = r to the last bit: an error of one part in 1e16 would lose it."""
    real = 5 * normal(0, 300, 40).astype(np.float64)
    distance = np.linalg.norm(real[:, None] - real, axis=2)
    on_the_ball = np.argsort(distance, axis=1)[:, 3]
    inside = manifolds(real, real[on_the_ball], k_density=3)
    assert inside.covered.all()
    assert (inside.density > 0).all()


def test_answer_does_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    real, generated = normal(0, 90, 5), 0.9 * normal(1, 70, 5)
    whole = manifolds(real, generated)
    monkeypatch.setattr(module, "BLOCK_BYTES", 8 * 90 * 7)
    pieces = manifolds(real, generated)
    for name in ("in_real", "in_generated", "density", "covered", "sole_cover"):
        assert np.array_equal(getattr(whole, name), getattr(pieces, name)), name


def test_coverage_interval_covers_what_other_generations_would_have() -> None:
    """The real rows held fixed, its middle is the mean over generations and its width no less than theirs."""
    real = normal(0, 150, 4)
    found = [manifolds(real, 1.3 * normal(seed, 120, 4)).coverage() for seed in range(1, 301)]
    mean = np.mean([i.value for i in found])
    assert np.mean([i.low <= mean <= i.high for i in found]) > 0.95 - 3 * np.sqrt(0.05 * 0.95 / 300)
    assert 1 < np.mean([(i.high - i.value) / 1.96 for i in found]) / np.std([i.value for i in found]) < 1.6


@pytest.mark.parametrize(("n_real", "n_generated"), [(5, 9), (9, 3)])
def test_too_few_rows_are_refused(n_real: int, n_generated: int) -> None:
    with pytest.raises(ValueError, match=f"balls of {n_real} real and {n_generated} generated rows: more than 5 and 3"):
        manifolds(normal(0, n_real, 2), normal(1, n_generated, 2))
