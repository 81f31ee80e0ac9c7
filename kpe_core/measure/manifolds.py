"""Precision, recall, density and coverage: who lies inside whose balls, in a feature space."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kpe_core.measure.bootstrap import Interval, Z
from kpe_core.measure.frechet import Features
from kpe_core.points.neighbours import nearest

BLOCK_BYTES = 64 * 2**20
NEIGHBOURS = 3
"""For precision and recall, as Kynkäänniemi et al. recommend."""
DENSITY_NEIGHBOURS = 5
"""For density and coverage, as Naeem et al. recommend."""


@dataclass(frozen=True)
class Manifolds:
    """Which rows lie inside the other set's balls; a ball reaches from a row to its k-th nearest other row, closed."""

    in_real: NDArray[np.bool_]
    """(n,) whether a generated row lies in any real ball; its mean is the precision."""
    in_generated: NDArray[np.bool_]
    """(N,) whether a real row lies in any generated ball; its mean is the recall."""
    density: NDArray[np.float64]
    """(n,) in how many real balls a generated row lies, over k; its mean is the density."""
    covered: NDArray[np.bool_]
    """(N,) whether a real row's ball holds any generated row; its mean is the coverage."""
    sole_cover: NDArray[np.int64]
    """(n,) how many real balls hold this generated row and no other."""

    def coverage(self) -> Interval:
        """The coverage ± 1.96 jackknife standard errors of the generated rows, the real ones held fixed."""
        value, n = float(self.covered.mean()), len(self.sole_cover)
        # leaving a row out uncovers exactly the balls it alone covers
        spread = Z * float(np.sqrt((n - 1) * np.var(self.sole_cover))) / len(self.covered)
        return Interval(value, max(0.0, value - spread), min(1.0, value + spread))


def manifolds(
    real: Features, generated: Features, k: int = NEIGHBOURS, k_density: int = DENSITY_NEIGHBOURS
) -> Manifolds:
    """Memberships behind precision and recall (Kynkäänniemi et al. 2019) and density and coverage (Naeem et al. 2020).

    ``real`` is (N, F), ``generated`` (n, F). For two samples of one distribution the expected density is 1 and the
    expected coverage 1 − (N−1)…(N−k) / ((n+N−1)…(n+N−k)). Distances are float64 differences, in blocks of bounded memory:
    the matrix-product shortcut would lose those between near-copies.

    Raises
    ------
    ValueError
        when a set has too few rows for its balls: more than max(k, k_density) real and more than k generated are needed.
    """
    if len(real) <= max(k, k_density) or len(generated) <= k:
        needed = f"more than {max(k, k_density)} and {k} are needed"
        raise ValueError(f"balls of {len(real)} real and {len(generated)} generated rows: {needed}")
    x, y = (torch.from_numpy(np.asarray(features, dtype=np.float64)) for features in (real, generated))
    near, far = _kth_distances(real, (k, k_density))
    (own,) = _kth_distances(generated, (k,))
    in_real, density = np.empty(len(y), dtype=np.bool_), np.empty(len(y))
    in_generated = torch.zeros(len(x), dtype=torch.bool)
    holds, whom = torch.zeros(len(x), dtype=torch.int64), torch.zeros(len(x), dtype=torch.int64)
    for rows in _blocks(len(y), len(x)):
        distance = _distances(y[rows], x)
        in_real[rows] = (distance <= near).any(dim=1).numpy()
        in_generated |= (distance <= own[rows, None]).any(dim=0)
        inside = distance <= far
        density[rows] = inside.sum(dim=1).numpy() / k_density
        holds += inside.sum(dim=0)
        whom += (inside * torch.arange(rows.start, rows.stop)[:, None]).sum(dim=0)
    sole_cover = np.bincount(whom[holds == 1].numpy(), minlength=len(y))
    return Manifolds(in_real, in_generated.numpy(), density, (holds > 0).numpy(), sole_cover)


def _kth_distances(features: Features, ks: tuple[int, ...]) -> list[Tensor]:
    """Distance of each row to its k-th nearest other one, for each k."""
    given, n, most = torch.tensor(features), len(features), max(ks)
    near = nearest(given, given, most, exclude=torch.arange(n)).index
    points = given.double()
    found = torch.empty((len(ks), n), dtype=torch.float64)
    for rows in _blocks(n, most * points.shape[1]):
        distance = _distances(points[rows, None], points[near[rows]]).squeeze(1).sort(dim=1).values
        found[:, rows] = distance[:, [k - 1 for k in ks]].T
    return list(found)


def _distances(a: Tensor, b: Tensor) -> Tensor:
    # radii and memberships from one routine: a copy of the k-th neighbour lies on the ball to the last bit
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def _blocks(rows: int, columns: int) -> list[slice]:
    block = max(1, BLOCK_BYTES // (8 * columns))
    return [slice(start, min(rows, start + block)) for start in range(0, rows, block)]
