"""The 2-D sets: clusters of the announced places, spreads and shares, and a density that is theirs."""

import numpy as np
import pytest
from scipy import stats

from kpe_core.data import planar
from kpe_core.data.datasets import load
from kpe_core.study.specs import DataSpec, PrepareSpec


@pytest.mark.parametrize("name", planar.SETS)
def test_shares_shapes_and_seed(name: str) -> None:
    x, label = planar.draw(name, 0)
    assert (x.shape, x.dtype) == ((planar.N_POINTS, 2), np.float32)
    assert (label.shape, label.dtype) == ((planar.N_POINTS,), np.int64)
    assert np.bincount(label) / len(label) == pytest.approx(planar.SETS[name].weights, abs=0.03)
    assert np.array_equal(planar.draw(name, 0)[0], x)
    assert not np.array_equal(planar.draw(name, 1)[0], x)


def spread(x: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Standard deviation of every cluster along each axis."""
    return np.array([x[label == c].std(axis=0) for c in np.unique(label)])


def test_dense_sparse_is_a_tight_and_a_loose_cluster() -> None:
    x, label = planar.draw("dense_sparse", 0)
    assert spread(x, label) == pytest.approx(np.array([[0.2, 0.2], [1.0, 1.0]]), rel=0.1)
    centers = np.array([x[label == c].mean(axis=0) for c in (0, 1)])
    assert np.linalg.norm(centers, axis=1) == pytest.approx([1.5, 1.5], abs=0.15), "equally far from the noise"


def test_multiscale_clusters_loosen_outwards() -> None:
    x, label = planar.draw("multiscale_clusters", 0)
    assert spread(x, label).mean(axis=1) == pytest.approx([0.1, 0.25, 0.5, 1.0], rel=0.1)
    radius = [np.linalg.norm(x[label == c].mean(axis=0)) for c in range(4)]
    assert radius == sorted(radius)


def test_sandwich_has_its_sparse_layer_in_the_middle() -> None:
    x, label = planar.draw("sandwich", 0)
    height = [float(np.median(x[label == c, 1])) for c in range(3)]
    assert height == pytest.approx([0.0, 1.5, -1.5], abs=0.05)
    assert spread(x, label)[:, 1] == pytest.approx([0.5, 0.1, 0.1], rel=0.1)


@pytest.mark.parametrize("name", planar.SETS)
def test_the_density_is_scipys_mixture(name: str) -> None:
    mixture = planar.SETS[name]
    x = planar.draw(name, 3)[0][:200].astype(np.float64)
    each = [
        w * stats.multivariate_normal(c, np.diag(np.square(s))).pdf(x)
        for w, c, s in zip(mixture.weights, mixture.centers, mixture.stds, strict=True)
    ]
    assert planar.true_log_density(name, x) == pytest.approx(np.log(np.sum(each, axis=0)), abs=1e-12)


def on_a_grid(low: float, high: float, step: float) -> np.ndarray:
    axis = np.arange(low, high, step) + step / 2
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize("name", planar.SETS)
def test_the_density_integrates_to_one(name: str) -> None:
    step = 0.04
    total = np.exp(planar.true_log_density(name, on_a_grid(-10, 10, step))).sum() * step**2
    assert total == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("prepare", [PrepareSpec(), PrepareSpec(scale=2.0), PrepareSpec(scaling="raw", scale=0.5)])
@pytest.mark.parametrize("name", planar.SETS)
def test_prepared_it_integrates_to_one_and_follows_the_points(name: str, prepare: PrepareSpec) -> None:
    """Every point keeps its density but for the factor's; the splits hold the raw points in another order."""
    prepared = load(DataSpec(name=name, prepare=prepare))
    step = 0.03
    at = on_a_grid(-12, 12, step)
    total = np.exp(planar.true_prepared_log_density(name, prepared.affine, at)).sum() * step**2
    assert total == pytest.approx(1.0, abs=1e-4)
    points = np.concatenate([prepared.train, prepared.held_out])
    own = planar.true_prepared_log_density(name, prepared.affine, points)
    raw = planar.true_log_density(name, planar.draw(name, 0)[0]) - 2 * np.log(prepared.affine.factor)
    assert np.sort(own) == pytest.approx(np.sort(raw), abs=1e-4)


def test_far_out_the_log_density_is_finite() -> None:
    far = planar.true_log_density("sandwich", np.array([[1e6, 0.0]]))
    assert far == pytest.approx([-0.5e12], rel=1e-6)
