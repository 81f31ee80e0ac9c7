"""The 2-D sets of [KE] figure 3: mixtures whose clusters differ in density, with their densities in closed form."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpe_core.data.prepare import Affine

N_POINTS = 2500


@dataclass(frozen=True)
class Mixture:
    """Axis-aligned Gaussians in raw coordinates, before preparation; one entry a component."""

    weights: tuple[float, ...]
    centers: tuple[tuple[float, float], ...]
    stds: tuple[tuple[float, float], ...]


SETS: dict[str, Mixture] = {
    # A tight cluster, four points in five, and a loose one, equally far from the noise.
    "dense_sparse": Mixture(
        weights=(0.8, 0.2),
        centers=((-1.5, 0.0), (1.5, 0.0)),
        stds=((0.2, 0.2), (1.0, 1.0)),
    ),
    # Four equal clusters, looser with growing distance from the origin.
    "multiscale_clusters": Mixture(
        weights=(0.25, 0.25, 0.25, 0.25),
        centers=((0.5, 0.5), (-1.0, 1.0), (-1.5, -1.5), (3.0, -3.0)),
        stds=((0.1, 0.1), (0.25, 0.25), (0.5, 0.5), (1.0, 1.0)),
    ),
    # A sparse layer, one point in five, between two dense ones; all reach equally far along.
    "sandwich": Mixture(
        weights=(0.2, 0.4, 0.4),
        centers=((0.0, 0.0), (0.0, 1.5), (0.0, -1.5)),
        stds=((1.0, 0.5), (1.0, 0.1), (1.0, 0.1)),
    ),
}  # fmt: skip


def draw(name: str, seed: int, n: int = N_POINTS) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """``n`` raw points (n, 2) float32 of the set ``name``, and the components they come from, (n,) int64."""
    mixture = SETS[name]
    rng = np.random.Generator(np.random.Philox(key=[seed, 0x2D]))
    label = rng.choice(len(mixture.weights), size=n, p=mixture.weights).astype(np.int64)
    z = rng.standard_normal((n, 2))
    x = np.asarray(mixture.centers)[label] + np.asarray(mixture.stds)[label] * z
    return x.astype(np.float32), label


def true_log_density(name: str, x: NDArray) -> NDArray[np.float64]:
    """log Σ_c w_c N(x; μ_c, diag s_c²) of the set ``name`` at raw ``x`` (B, 2): (B,) float64, nats; finite far out too."""
    mixture = SETS[name]
    stds = np.asarray(mixture.stds)
    z = (np.asarray(x, dtype=np.float64)[:, None, :] - np.asarray(mixture.centers)) / stds
    height = np.log(mixture.weights) - np.log(stds).sum(axis=1) - math.log(2 * math.pi)
    return np.logaddexp.reduce(height - 0.5 * np.square(z).sum(axis=2), axis=1)


def true_prepared_log_density(name: str, affine: Affine, x: NDArray) -> NDArray[np.float64]:
    """The same in prepared coordinates: log p(x/f + shift) − 2 log f, f the preparation's factor."""
    raw = np.asarray(x, dtype=np.float64) / affine.factor + affine.shift
    return true_log_density(name, raw) - 2 * math.log(affine.factor)
