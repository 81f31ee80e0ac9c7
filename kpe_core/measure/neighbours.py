"""Exact nearest neighbours, with near-copies kept to full relative precision."""

from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK_BYTES = 64 * 2**20
SPARE = 16
"""Candidates beyond k: the matrix product may misorder that many points that are almost equally near."""


@dataclass(frozen=True)
class Neighbours:
    distance: Tensor
    """(B, k) float64, ascending."""
    index: Tensor
    """(B, k) int64 into the points; ties go to the lower index."""


def nearest(x: Tensor, points: Tensor, k: int) -> Neighbours:
    """The ``k`` nearest of ``points`` (N, D) to each row of ``x`` (B, D), Euclidean, exact.

    ‖x‖² − 2x·y + ‖y‖² only nominates candidates: it cancels completely for near-copies. The candidates' distances are
    then recomputed from the differences, in float64.

    Raises
    ------
    ValueError
        when fewer than k points exist.
    """
    if len(points) < k:
        raise ValueError(f"{k} neighbours asked of {len(points)} points")
    x, points = x.to(torch.float64), points.to(torch.float64)
    candidates = _nominate(x, points, min(k + SPARE, len(points)))
    candidates = candidates.sort(dim=1).values
    distance = torch.linalg.vector_norm(points[candidates] - x[:, None, :], dim=2)
    distance, order = distance.sort(dim=1, stable=True)
    index = candidates.gather(1, order)
    if candidates.shape[1] < len(points):
        for row in _doubtful(x, points, distance, k):
            every = torch.linalg.vector_norm(points - x[row], dim=1)
            every, order = every.sort(stable=True)
            distance[row, :k], index[row, :k] = every[:k], order[:k]
    return Neighbours(distance[:, :k], index[:, :k])


def _doubtful(x: Tensor, points: Tensor, distance: Tensor, k: int) -> list[int]:
    """Rows whose farthest candidate is no farther than the k-th, within the product's rounding: others may tie with it."""
    center = points.mean(dim=0)
    reach = torch.linalg.vector_norm(x - center, dim=1) + torch.linalg.vector_norm(points - center, dim=1).max()
    rounding = 4.0 * points.shape[1] * torch.finfo(torch.float64).eps * reach.square()
    gap = distance[:, -1].square() - distance[:, k - 1].square()
    return torch.nonzero(gap <= rounding).flatten().tolist()


def _nominate(x: Tensor, points: Tensor, m: int) -> Tensor:
    """Indices (B, m) of the m smallest ‖y‖² − 2x·y, streamed over blocks of points."""
    block = max(m, BLOCK_BYTES // (8 * max(1, len(x))))
    best = x.new_empty((len(x), 0))
    index = torch.empty((len(x), 0), dtype=torch.int64)
    center = points.mean(dim=0)
    shifted = x - center
    for start in range(0, len(points), block):
        y = points[start : start + block] - center
        near = torch.addmm(y.square().sum(dim=1), shifted, y.T, alpha=-2.0)
        here = torch.arange(start, start + len(y)).expand(len(x), -1)
        best, index = torch.cat([best, near], dim=1), torch.cat([index, here], dim=1)
        best, order = best.topk(min(m, best.shape[1]), dim=1, largest=False)
        index = index.gather(1, order)
    return index
