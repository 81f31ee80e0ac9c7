"""How generated samples compare with real ones, in a feature space: Fréchet distance, precision, recall."""

import numpy as np
import torch
from numpy.typing import NDArray

from kpe_core.measure.neighbours import nearest

MANIFOLD_NEIGHBOURS = 3

Features = NDArray[np.float32]
Moments = tuple[NDArray[np.float64], NDArray[np.float64]]


def moments(features: Features, weights: NDArray[np.float64] | None = None) -> Moments:
    """Mean (F,) and covariance (F, F) in float64; ``weights`` (n,) count each row, as a bootstrap resample does."""
    f = features.astype(np.float64)
    return np.average(f, axis=0, weights=weights), np.cov(f, rowvar=False, fweights=_whole(weights))


def _whole(weights: NDArray[np.float64] | None) -> NDArray[np.int64] | None:
    return None if weights is None else weights.astype(np.int64)


def frechet(a: Moments, b: Moments) -> float:
    """‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2 (Σ_a^½ Σ_b Σ_a^½)^½), between the Gaussians of two feature sets."""
    root = _sqrt_psd(a[1])
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ b[1] @ root), 0.0, None)).sum()
    return float(np.sum((a[0] - b[0]) ** 2) + np.trace(a[1]) + np.trace(b[1]) - 2.0 * cross)


def _sqrt_psd(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T


def precision_recall(real: Features, generated: Features, k: int = MANIFOLD_NEIGHBOURS) -> tuple[float, float]:
    """Share of generated inside the real manifold, and of real inside the generated one (Kynkäänniemi et al. 2019).

    A set's manifold is the union of balls around its points, each reaching to the point's k-th nearest other point.
    """
    return _coverage(real, generated, k), _coverage(generated, real, k)


def _coverage(manifold: Features, points: Features, k: int) -> float:
    base, x = torch.from_numpy(manifold), torch.from_numpy(points)
    radius = nearest(base, base, k + 1).distance[:, -1]
    # The matrix-product shortcut would put an exact copy outside a ball of radius zero.
    distance = torch.cdist(x.double(), base.double(), compute_mode="donot_use_mm_for_euclid_dist")
    inside = distance <= radius
    return float(inside.any(dim=1).double().mean())
