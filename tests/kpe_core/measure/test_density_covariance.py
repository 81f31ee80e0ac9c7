"""Whitening: what it makes of the points, against numpy and scikit-learn, and what it refuses."""

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf as scikit_learns
from torch import Tensor

from kpe_core.errors import UserError
from kpe_core.measure import covariance
from kpe_core.measure.covariance import Shape, ledoit_wolf, moments, whitening


def oblique(n: int, d: int) -> Tensor:
    rng = np.random.default_rng(d)
    return torch.from_numpy(rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 10.0)


@pytest.mark.parametrize("shape", ["diagonal", "full"])
def test_whitened_points_have_unit_variances(shape: Shape) -> None:
    points = oblique(300, 5)
    white = whitening(points, shape)
    image = np.cov(white(points).numpy().T)
    assert np.diag(image) == pytest.approx(np.ones(5))
    assert (image == pytest.approx(np.eye(5), abs=1e-9)) == (shape == "full")
    assert white.sigma == 1.0


@pytest.mark.parametrize("shape", ["diagonal", "full", "shrunk"])
def test_the_map_is_linear_and_its_determinant_right(shape: Shape) -> None:
    points = oblique(300, 5)
    white = whitening(points, shape)
    origin = white(torch.zeros(1, 5))
    matrix = (white(torch.eye(5)) - origin).numpy()
    assert white.log_det == pytest.approx(-np.linalg.slogdet(matrix)[1])


def test_isotropic_leaves_the_points_alone() -> None:
    points = oblique(300, 5).to(torch.float32)
    white = whitening(points, "isotropic")
    assert white(points) is points
    assert white.log_det == 0.0
    assert white.sigma == pytest.approx(np.sqrt(np.trace(np.cov(points.numpy().T)) / 5))


@pytest.mark.parametrize(("n", "d"), [(300, 5), (30, 40), (8, 100)])
def test_ledoit_wolf_is_scikit_learns(n: int, d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(covariance, "PART", 7)
    points = oblique(n, d)
    assert ledoit_wolf(points, moments(points)[0]).numpy() == pytest.approx(scikit_learns(points.numpy())[0], rel=1e-9)


def test_shrunk_stands_more_dimensions_than_points_and_constant_coordinates() -> None:
    points = oblique(20, 50)
    points[:, 3] = 1.0
    white = whitening(points, "shrunk")
    assert white(points).isfinite().all()
    assert np.isfinite(white.log_det)


@pytest.mark.parametrize("shape", ["diagonal", "full"])
def test_constant_coordinates_are_refused(shape: Shape) -> None:
    """MNIST's border pixels; 0.3 is no binary fraction, so a variance computed of it need not be 0."""
    points = oblique(300, 8)
    points[:, [2, 5]] = 0.3
    with pytest.raises(UserError, match=rf"{shape}: 2 of 8 coordinates .* \(2, 5\); use shrunk or isotropic"):
        whitening(points, shape)


def test_full_needs_more_points_than_dimensions() -> None:
    with pytest.raises(UserError, match=r"full: 20 training points in 20 dimensions .* use shrunk or diagonal"):
        whitening(oblique(20, 20), "full")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_full_refuses_coordinates_that_follow_from_others(dtype: torch.dtype) -> None:
    points = torch.round(oblique(300, 6)).to(dtype)
    points[:, 4] = points[:, 1] - 2 * points[:, 3]
    with pytest.raises(UserError, match=r"full: .* singular, .* use shrunk or diagonal"):
        whitening(points, "full")
    assert np.isfinite(whitening(points, "shrunk").log_det)


@pytest.mark.parametrize("shape", ["diagonal", "full", "shrunk"])
def test_one_point_many_times_has_no_covariance(shape: Shape) -> None:
    with pytest.raises(UserError, match="all the same point; use isotropic and a number"):
        whitening(torch.ones(9, 2), shape)
