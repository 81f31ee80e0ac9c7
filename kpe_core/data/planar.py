"""The 2-D sets of [KE] figure 3: mixtures whose clusters differ in density. Raw coordinates, before preparation."""

import numpy as np
from numpy.typing import NDArray

N_POINTS = 2500


def _mixture(
    seed: int, weights: list[float], centers: list[tuple[float, float]], stds: list[tuple[float, float]]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """N_POINTS from weighted axis-aligned Gaussians; labels are component indices."""
    rng = np.random.Generator(np.random.Philox(key=[seed, 0x2D]))
    label = rng.choice(len(centers), size=N_POINTS, p=weights).astype(np.int64)
    z = rng.standard_normal((N_POINTS, 2))
    x = np.asarray(centers)[label] + np.asarray(stds)[label] * z
    return x.astype(np.float32), label


def dense_sparse(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A tight cluster (std 0.2, four points in five) and a loose one (std 1.0)."""
    return _mixture(seed, [0.8, 0.2], [(-1.5, 0.0), (1.5, 0.0)], [(0.2, 0.2), (1.0, 1.0)])


def multiscale_clusters(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Four equal clusters of std 0.1, 0.25, 0.5, 1.0 at growing distance from the origin."""
    centers = [(0.5, 0.5), (-1.0, 1.0), (-1.5, -1.5), (3.0, -3.0)]
    return _mixture(seed, [0.25] * 4, centers, [(0.1, 0.1), (0.25, 0.25), (0.5, 0.5), (1.0, 1.0)])


def sandwich(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A sparse layer (std 0.5 across, one point in five) between two dense ones (std 0.1 across), as [KE] draws it."""
    centers = [(0.0, 0.0), (0.0, 1.5), (0.0, -1.5)]
    return _mixture(seed, [0.2, 0.4, 0.4], centers, [(1.0, 0.5), (1.0, 0.1), (1.0, 0.1)])
