"""The 2-D sets: clusters of the announced places, spreads and shares."""

import numpy as np
import pytest

from kpe_core.data import planar

SETS = {
    "dense_sparse": (planar.dense_sparse, [0.8, 0.2]),
    "multiscale_clusters": (planar.multiscale_clusters, [0.25, 0.25, 0.25, 0.25]),
    "sandwich": (planar.sandwich, [0.2, 0.4, 0.4]),
}


@pytest.mark.parametrize("name", SETS)
def test_shares_shapes_and_seed(name: str) -> None:
    make, shares = SETS[name]
    x, label = make(0)
    assert (x.shape, x.dtype) == ((planar.N_POINTS, 2), np.float32)
    assert (label.shape, label.dtype) == ((planar.N_POINTS,), np.int64)
    assert np.bincount(label) / len(label) == pytest.approx(shares, abs=0.03)
    assert np.array_equal(make(0)[0], x)
    assert not np.array_equal(make(1)[0], x)


def spread(x: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Standard deviation of every cluster along each axis."""
    return np.array([x[label == c].std(axis=0) for c in np.unique(label)])


def test_dense_sparse_is_a_tight_and_a_loose_cluster() -> None:
    x, label = planar.dense_sparse(0)
    assert spread(x, label) == pytest.approx(np.array([[0.2, 0.2], [1.0, 1.0]]), rel=0.1)
    centers = np.array([x[label == c].mean(axis=0) for c in (0, 1)])
    assert np.linalg.norm(centers, axis=1) == pytest.approx([1.5, 1.5], abs=0.15), "equally far from the noise"


def test_multiscale_clusters_loosen_outwards() -> None:
    x, label = planar.multiscale_clusters(0)
    assert spread(x, label).mean(axis=1) == pytest.approx([0.1, 0.25, 0.5, 1.0], rel=0.1)
    radius = [np.linalg.norm(x[label == c].mean(axis=0)) for c in range(4)]
    assert radius == sorted(radius)


def test_sandwich_has_its_sparse_layer_in_the_middle() -> None:
    x, label = planar.sandwich(0)
    height = [float(np.median(x[label == c, 1])) for c in range(3)]
    assert height == pytest.approx([0.0, 1.5, -1.5], abs=0.05)
    assert spread(x, label)[:, 1] == pytest.approx([0.5, 0.1, 0.1], rel=0.1)
