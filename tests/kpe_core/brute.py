"""Sums of Gaussians written out over every point, in 80-bit floats."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

Array = np.ndarray


class Sums(NamedTuple):
    """Long double, (B,) and (B, D)."""

    log_sum: Array
    largest: Array
    entropy: Array
    mean: Array


def sums(x: Tensor, points: Tensor, gamma: float, sigma: float, exclude: Tensor | None = None) -> Sums:
    """ℓᵢ = −‖x − γ xᵢ‖²/(2σ²) and all that follows, of the very values the tensors hold."""
    xs, ps = (a.double().numpy().astype(np.longdouble) for a in (x, points))
    g, s = np.longdouble(gamma), np.longdouble(sigma)
    logits = np.stack([-np.square(row - g * ps).sum(axis=1) / (2 * s * s) for row in xs])
    if exclude is not None:
        logits[np.flatnonzero(exclude >= 0), exclude[exclude >= 0]] = -np.inf
    top = logits.max(axis=1, keepdims=True)
    log_sum = top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
    weights = np.exp(logits - log_sum)
    surprise = np.where(weights > 0, log_sum - logits, 0)
    return Sums(log_sum[:, 0], weights.max(axis=1), (weights * surprise).sum(axis=1), weights @ ps)


def velocity_error(mean: Tensor, x: Tensor, truth: Sums) -> float:
    """Largest ‖v − v*‖/‖v*‖ over the rows: v is m − x but for a factor."""
    gap = truth.mean - x.double().numpy()
    wrong = mean.numpy() - truth.mean
    return float(np.sqrt(np.square(wrong).sum(axis=1) / np.square(gap).sum(axis=1)).max())
