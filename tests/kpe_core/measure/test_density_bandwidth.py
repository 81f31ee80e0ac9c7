"""Bandwidths: rules by hand, the likelihood's maximum by exhaustion, and a Gaussian's best width."""

import math

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch import Tensor

from kpe_core.errors import UserError
from kpe_core.measure import bandwidth as module
from kpe_core.measure.bandwidth import bandwidth
from kpe_core.measure.density import fit
from kpe_core.study.specs import KdeDensity


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)))


def likelihood(points: np.ndarray, h: float) -> float:
    """Mean leave-one-out log-likelihood, written down."""
    n, d = points.shape
    square = np.square(points[:, None] - points).sum(axis=2)
    np.fill_diagonal(square, np.inf)
    logs = special.logsumexp(-square / (2 * h**2), axis=1) - math.log(n - 1) - d / 2 * math.log(2 * math.pi * h**2)
    return float(logs.mean())


def test_rules_of_thumb() -> None:
    points = normal(500, 3)
    assert bandwidth(points, "scott", 2.0) == pytest.approx(2 * 500 ** (-1 / 7))
    assert bandwidth(points, "silverman", 2.0) == pytest.approx(2 * (500 * 5 / 4) ** (-1 / 7))
    assert bandwidth(points, 0.7, 2.0) == 0.7


def test_median_nn_is_the_median_distance_between_neighbours() -> None:
    """Points at 0, 1, 3, 7, 15 have theirs at 1, 1, 2, 4, 8; exact copies (distance 0) say nothing of scale."""
    line = torch.tensor([[0.0], [1.0], [3.0], [7.0], [15.0]])
    copies = torch.tensor([[50.0], [50.0]])
    assert bandwidth(line, "median_nn", 1.0) == 2.0
    assert bandwidth(torch.cat([line, copies]), "median_nn", 1.0) == 2.0


@pytest.mark.parametrize(("n", "d"), [(200, 1), (300, 2), (150, 20), (100, 300)])
def test_loo_maximises_the_likelihood_of_points_left_out(n: int, d: int) -> None:
    points = normal(n, d).numpy() * np.linspace(0.5, 2, d) + 5.0
    h = bandwidth(torch.from_numpy(points), "loo", 1.0)
    tried = h * np.exp(np.linspace(-3, 3, 61))
    best = likelihood(points, h)
    assert best >= max(likelihood(points, other) for other in tried) - 1e-9
    assert best > likelihood(points, 0.97 * h)
    assert best > likelihood(points, 1.03 * h)


def test_loo_with_two_clusters_of_unlike_scale() -> None:
    """The likelihood may have several maxima; the highest is meant."""
    tight, loose = 0.01 * normal(150, 2), normal(50, 2, seed=1) + 8
    points = torch.cat([tight, loose]).numpy()
    h = bandwidth(torch.from_numpy(points), "loo", 1.0)
    assert likelihood(points, h) >= max(likelihood(points, other) for other in np.geomspace(1e-4, 10, 200)) - 1e-9


def test_loo_comes_near_the_best_width_for_a_gaussian() -> None:
    points, x = normal(800, 2), normal(500, 2, seed=1)
    truth = stats.multivariate_normal(np.zeros(2)).logpdf(x.numpy())

    def error(rule: str | float) -> float:
        value = fit(points, KdeDensity(estimator="kde", bandwidth=rule)).log_density(x)
        return float(np.abs(value.numpy() - truth).mean())

    best = min(error(float(h)) for h in np.geomspace(0.05, 2, 25))
    assert error("loo") < 1.35 * best
    assert error("median_nn") > 1.35 * best


def test_loo_looks_at_some_points_where_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    points = normal(1500, 2)
    everyone = bandwidth(points, "loo", 1.0)
    monkeypatch.setattr(module, "LOO_ROWS", 300)
    some = bandwidth(points, "loo", 1.0)
    assert some == bandwidth(points, "loo", 1.0)
    assert some != everyone
    assert some == pytest.approx(everyone, rel=0.2)


def test_loo_keeps_near_copies_apart() -> None:
    """Pairs 10⁻⁷ apart, far from the origin: a product sees nothing of that distance, the likelihood lives on it."""
    pairs = normal(100, 3) + 100.0
    points = torch.cat([pairs, pairs + 1e-7 * normal(100, 3, seed=1)])
    h = bandwidth(points, "loo", 1.0)
    own = np.sqrt(np.square((points[:100] - points[100:]).numpy()).sum(axis=1))
    assert h == pytest.approx(math.sqrt(np.square(own).mean() / 3), rel=1e-3)


@pytest.mark.parametrize("rule", ["median_nn", "loo"])
def test_nothing_but_copies_leaves_no_scale(rule: str) -> None:
    pairs = normal(20, 3)
    with pytest.raises(
        UserError, match=f"{rule}: every training point has an exact copy.*scott, silverman or a number"
    ):
        bandwidth(torch.cat([pairs, pairs]), rule, 1.0)


def test_loo_passes_over_the_few_copies_there_are() -> None:
    points = normal(400, 2)
    some = torch.cat([points, points[:20]])
    assert bandwidth(some, "loo", 1.0) == pytest.approx(bandwidth(points, "loo", 1.0), rel=0.1)


def test_one_point_many_times_has_no_width() -> None:
    with pytest.raises(UserError, match=r"scott: .* all the same point; give a number"):
        bandwidth(torch.ones(9, 2), "scott", 0.0)
