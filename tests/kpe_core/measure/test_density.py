"""Log densities against the formulas written with scipy, from the plane to 784 dimensions."""

import math

import numpy as np
import pytest
import torch
from scipy import special, stats

from kpe_core.measure import density
from kpe_core.measure.density import bandwidth, estimator_name, kde_log_density, knn_log_density, log_density
from kpe_core.study.specs import KdeDensity, KnnDensity

DIMS = [2, 64, 784]


def sets(d: int, n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(d)
    return rng.normal(size=(12, d)), rng.normal(size=(n, d)) + 1.0


@pytest.mark.parametrize("d", DIMS)
@pytest.mark.parametrize("h", [0.1, 1.0, 5.0])
def test_kde_is_a_mean_of_gaussians(d: int, h: float) -> None:
    x, points = sets(d)
    kernels = stats.norm(points, h).logpdf(x[:, None]).sum(axis=2)
    expected = special.logsumexp(kernels, axis=1) - math.log(len(points))
    here = kde_log_density(torch.from_numpy(x), torch.from_numpy(points), h)
    assert here.numpy() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("d", DIMS)
@pytest.mark.parametrize("k", [1, 5])
def test_knn_is_a_share_of_points_over_a_balls_volume(d: int, k: int) -> None:
    """p̂ = k / (N · volume of the ball reaching to the k-th nearest)."""
    x, points = sets(d)
    r = np.sort(np.sqrt(np.square(x[:, None] - points).sum(axis=2)), axis=1)[:, k - 1]
    log_volume = d / 2 * np.log(np.pi) - special.gammaln(d / 2 + 1) + d * np.log(r)
    expected = np.log(k / len(points)) - log_volume
    here = knn_log_density(torch.from_numpy(x), torch.from_numpy(points), k)
    assert here.numpy() == pytest.approx(expected, rel=1e-9)


def test_both_find_the_density_of_a_uniform_square() -> None:
    points = torch.from_numpy(np.random.default_rng(0).uniform(0, 2, size=(20_000, 2)))
    inside = torch.full((1, 2), 1.0, dtype=torch.float64)
    assert knn_log_density(inside, points, 300).item() == pytest.approx(math.log(1 / 4), abs=0.15)
    assert kde_log_density(inside, points, 0.1).item() == pytest.approx(math.log(1 / 4), abs=0.15)


@pytest.mark.parametrize("d", DIMS)
def test_far_out_is_low_but_never_minus_infinity(d: int) -> None:
    _, points = sets(d)
    x = torch.stack([torch.full((d,), far, dtype=torch.float64) for far in (1e2, 1e4, 1e6)])
    for spec in (KnnDensity(estimator="knn"), KdeDensity(estimator="kde", bandwidth=0.05)):
        values, _ = log_density(x, torch.from_numpy(points), spec)
        assert values.isfinite().all()
        assert values[0] > values[1] > values[2]


def test_kde_does_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    x, points = (torch.from_numpy(a) for a in sets(5, n=500))
    whole = kde_log_density(x, points, 0.3)
    monkeypatch.setattr(density, "BLOCK_BYTES", 8 * 12 * 7)
    assert torch.allclose(kde_log_density(x, points, 0.3), whole, rtol=1e-12)


def test_scott_is_scipys_rule_for_isotropic_points() -> None:
    """scipy's kernel is the points' covariance times factor²; where that is a multiple of I, the two agree."""
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(300, 3))
    white = (raw - raw.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(raw.T)).T) * 2.5 + 4.0
    x = rng.normal(size=(20, 3)) + 4
    here, h = log_density(torch.from_numpy(x), torch.from_numpy(white), KdeDensity(estimator="kde", bandwidth="scott"))
    scipys = stats.gaussian_kde(white.T, bw_method="scott")
    assert h == pytest.approx(2.5 * scipys.factor)
    assert here.numpy() == pytest.approx(scipys.logpdf(x.T), rel=1e-9)


def test_median_nn_is_the_median_distance_between_neighbours() -> None:
    """Points at 0, 1, 3, 7, 15 have theirs at 1, 1, 2, 4, 8; exact copies (distance 0) say nothing of scale."""
    line = torch.tensor([[0.0], [1.0], [3.0], [7.0], [15.0]])
    copies = torch.tensor([[50.0], [50.0]])
    assert bandwidth(line, "median_nn") == 2.0
    assert bandwidth(torch.cat([line, copies]), "median_nn") == 2.0
    assert bandwidth(line, 0.7) == 0.7


def test_parameter_and_name_tell_the_choice() -> None:
    x, points = (torch.from_numpy(a) for a in sets(2))
    assert log_density(x, points, KnnDensity(estimator="knn", k=7))[1] == 7.0
    assert estimator_name(KnnDensity(estimator="knn", k=7)) == "knn(k=7)"
    assert estimator_name(KdeDensity(estimator="kde", bandwidth="scott")) == "kde(scott)"
    assert estimator_name(KdeDensity(estimator="kde", bandwidth=0.5)) == "kde(0.5)"
