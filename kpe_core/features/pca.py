"""Principal components of the field's training points."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kpe_core.devices import CPU
from kpe_core.features.extractor import Extractor

BLOCK = 4096
"""Points in float64 at once."""


def fit_pca(points: NDArray[np.float32], components: int) -> dict[str, Tensor]:
    """Mean (D,) and leading axes (components, D) of ``points`` (N, D), float32; computed in float64.

    From the eigenvectors of whichever is smaller, the covariance (D, D) or the Gram matrix (N, N). Each axis's largest
    coordinate is positive, so that its sign is not left to the linear algebra.
    """
    n, d = points.shape
    mean = points.mean(axis=0, dtype=np.float64)
    if d <= n:
        scatter = np.zeros((d, d))
        for start in range(0, n, BLOCK):
            x = points[start : start + BLOCK] - mean
            scatter += x.T @ x
        axes = np.linalg.eigh(scatter)[1][:, ::-1][:, :components].T
    else:
        x = points - mean
        values, vectors = np.linalg.eigh(x @ x.T)
        axes = (vectors[:, ::-1][:, :components].T @ x) / np.sqrt(values[::-1][:components, None])
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    axes = axes * np.sign(largest)
    return {"mean": torch.from_numpy(mean.astype(np.float32)), "axes": torch.from_numpy(axes.astype(np.float32))}


def most_components(n_points: int, dim: int) -> int:
    """How many axes so many points can have."""
    return min(n_points - 1, dim)


def pca(tensors: dict[str, Tensor], device: torch.device = CPU) -> Extractor:
    """Scores along the fitted axes."""
    mean, axes = tensors["mean"].to(device), tensors["axes"].to(device)
    return Extractor(len(axes), lambda x: (x - mean) @ axes.T, device=device)
