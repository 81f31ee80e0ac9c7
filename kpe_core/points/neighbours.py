"""Exact nearest neighbours, with near-copies kept to full relative precision.

A matrix product nominates: ½‖x − y‖² = ½‖x‖² + s(y) with the score s(y) = ½‖y‖² − x·y, rows and points shifted by one
centre. It cancels completely for near-copies, so it decides nothing. Let ε bound a score's rounding and s_k be the k-th
smallest computed score. The true k-th smallest is at most s_k + ε, so every one of the k nearest has a computed score of
at most s_k + 2ε. The points below that bar, mostly k of them, are measured from the differences, in float64.

ε = (min(D, λ√D) + 8) · u · ½(‖x‖ + max‖y‖)², u the unit roundoff: an inner product's rounding is at most D u ‖x‖‖y‖
(Higham, Accuracy and Stability of Numerical Algorithms, §3.1) and exceeds λ√D u ‖x‖‖y‖ with probability below
2D exp(−λ²/2) (Higham & Mary, SIAM J. Sci. Comput. 41, 2019), 10⁻¹⁸ at λ = 10 and D = 3072; 8 covers the shift, the norms
and the sum. Rows that have more points below the bar than were nominated are searched again: in float64, then without the
copies that lose every tie, last of all one by one against every point.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK_BYTES = 64 * 2**20
"""Memory beside the inputs and the answer."""
ROWS = 1024
"""Rows searched together."""
SPARE = 6
"""Points nominated beyond k."""
SPARE_AMONG_COPIES = 126
CACHE_BYTES = 2**20
"""Of differences in flight: what stays in a core's own cache."""
LAMBDA = 10.0
FEW_DIMENSIONS = 32
"""Up to here selecting takes longer than the product, which may as well be float64."""
CENTER_ROWS = 128
CENTER_WEIGHT = 0.5
"""Share of the mean squared norm in the mean from which on the shift, a copy of each block, is worth its time."""


@dataclass(frozen=True)
class Neighbours:
    distance: Tensor
    """(B, k) float64, ascending."""
    index: Tensor
    """(B, k) int64 into the points; ties go to the lower index."""


class Searchable:
    """Points to search, with what every search of them needs: a centre and, from the first search on, norms about it.

    Parameters
    ----------
    points : (N, D) of any float dtype on any device; not to be changed while this is in use
    """

    def __init__(self, points: Tensor) -> None:
        self.points = points
        self.center = _center(points)
        self._norms: dict[torch.dtype, Tensor] = {}

    @property
    def shape(self) -> torch.Size:
        """(N, D)."""
        return self.points.shape

    def shifted(self, which: slice | Tensor, dtype: torch.dtype) -> Tensor:
        """Some of the points in ``dtype``, about the centre."""
        y = self.points[which]
        return y.to(dtype) if self.center is None else y.to(dtype, copy=True).sub_(self.center.to(dtype))

    def norms(self, dtype: torch.dtype) -> Tensor:
        """‖y‖ (N,) of all shifted points, in ``dtype``."""
        if dtype not in self._norms:
            n, d = self.points.shape
            step = max(1, CACHE_BYTES // (dtype.itemsize * d))
            blocks = (slice(start, start + step) for start in range(0, n, step))
            self._norms[dtype] = torch.cat([torch.linalg.vector_norm(self.shifted(b, dtype), dim=1) for b in blocks])
        return self._norms[dtype]


def nearest(x: Tensor, points: Tensor | Searchable, k: int, exclude: Tensor | None = None) -> Neighbours:
    """The ``k`` nearest of ``points`` (N, D) to each row of ``x`` (B, D), Euclidean, exact, on their device.

    Products are in float32 where both are at most that precise, else in float64; distances always come from float64
    differences. Neither the answer nor its bits depend on how rows and points are blocked. Points that are searched more
    than once are given as a ``Searchable``.

    Parameters
    ----------
    exclude : (B,) int64, a point that each row does not see (itself, for leave-one-out); −1 for none

    Raises
    ------
    ValueError
        when fewer than k points exist or a coordinate is not finite.
    """
    among = points if isinstance(points, Searchable) else Searchable(points)
    points = among.points
    seen = len(points) - int(exclude is not None and len(x) > 0 and bool((exclude >= 0).any()))
    if seen < k:
        raise ValueError(f"{k} neighbours asked of {seen} points")
    search = _Search(x, among, k, exclude)
    rows = torch.arange(len(x), device=points.device)
    narrow = torch.promote_types(torch.promote_types(x.dtype, points.dtype), torch.float32)
    if narrow == torch.float32 and points.shape[1] > FEW_DIMENSIONS:
        rows = search.run(rows, torch.float32, SPARE)
    rows = search.run(rows, torch.float64, SPARE)
    if len(rows):
        rows = search.run(rows, torch.float64, SPARE_AMONG_COPIES, _without_surplus_copies(points, k + 1))
    for row in rows.tolist():
        search.measure_all(row)
    return search.found


class _Search:
    """One call's inputs, and the rows answered so far."""

    def __init__(self, x: Tensor, searchable: Searchable, k: int, exclude: Tensor | None) -> None:
        self.x, self.searchable, self.k, self.exclude = x, searchable, k, exclude
        points = self.points = searchable.points
        self.found = Neighbours(
            torch.full((len(x), k), torch.nan, dtype=torch.float64, device=points.device),
            torch.full((len(x), k), -1, dtype=torch.int64, device=points.device),
        )

    def run(self, rows: Tensor, dtype: torch.dtype, spare: int, among: Tensor | None = None) -> Tensor:
        """Answer the ``rows`` that a product in ``dtype`` can answer; returns the others."""
        if not len(rows):
            return rows
        step = max(1, min(ROWS, BLOCK_BYTES // (3 * dtype.itemsize * self.points.shape[1])))
        return torch.cat([self._run(part, dtype, spare, among) for part in rows.split(step)])

    def _run(self, rows: Tensor, dtype: torch.dtype, spare: int, among: Tensor | None) -> Tensor:
        """``run`` for rows that fit into memory together: nominate, raise the bar, measure what is below it."""
        n = len(self.points) if among is None else len(among)
        score, index, rounding = self._nominate(rows, dtype, min(self.k + spare, n), among)
        bar = score[:, self.k - 1 : self.k] + 2.0 * rounding[:, None]
        certain = (score[:, -1:] > bar).squeeze(1) if score.shape[1] < n else torch.isfinite(bar).squeeze(1)
        if dtype == torch.float64 and not bool(torch.isfinite(bar).all()):
            raise ValueError("neighbours: a coordinate of the points or of the rows is not finite, or beyond 1e150")
        index, order = index[certain].sort(dim=1)
        wanted = (score[certain] <= bar[certain]).gather(1, order)
        distance = torch.full_like(index, torch.inf, dtype=torch.float64)
        row, column = torch.nonzero(wanted, as_tuple=True)
        distance[row, column] = self._measure(rows[certain][row], index[row, column])
        distance, order = distance.sort(dim=1, stable=True)
        self.found.distance[rows[certain]] = distance[:, : self.k]
        self.found.index[rows[certain]] = index.gather(1, order)[:, : self.k]
        return rows[~certain]

    def _nominate(
        self, rows: Tensor, dtype: torch.dtype, m: int, among: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The m smallest scores (b, m) float64, ascending, whose they are (b, m), and ε (b,)."""
        z = self.x[rows].to(dtype)
        if self.searchable.center is not None:
            z -= self.searchable.center.to(dtype)
        norms = self.searchable.norms(dtype) if among is None else self.searchable.norms(dtype)[among]
        n = len(self.points) if among is None else len(among)
        block = max(1, BLOCK_BYTES // (3 * dtype.itemsize * max(len(z), self.points.shape[1])))
        best = z.new_empty((len(z), 0))
        index = torch.empty((len(z), 0), dtype=torch.int64, device=z.device)
        scratch = z.new_empty(len(z) * min(block, n))
        for start in range(0, n, block):
            stop = min(start + block, n)
            y = self.searchable.shifted(slice(start, stop) if among is None else among[start:stop], dtype)
            score = scratch[: len(z) * len(y)].view(len(z), len(y))
            torch.addmm(0.5 * norms[start:stop].square(), z, y.T, alpha=-1.0, out=score)
            here = torch.arange(start, stop, device=z.device) if among is None else among[start:stop]
            if self.exclude is not None:
                own = self.exclude[rows][:, None]
                at = torch.searchsorted(here, own).clamp(max=len(here) - 1)
                score.scatter_(1, at, torch.where(here[at] == own, torch.inf, score.gather(1, at)))
            score, order = score.topk(min(m, stop - start), dim=1, largest=False)
            best, index = torch.cat([best, score], dim=1), torch.cat([index, here[order]], dim=1)
            best, order = best.topk(min(m, best.shape[1]), dim=1, largest=False)
            index = index.gather(1, order)
        growth = min(z.shape[1], LAMBDA * math.sqrt(z.shape[1])) + 8.0
        reach = torch.linalg.vector_norm(z, dim=1).to(torch.float64) + norms.max().to(torch.float64)
        return best.to(torch.float64), index, growth * _unit_roundoff(dtype) * 0.5 * reach.square()

    def _measure(self, rows: Tensor, index: Tensor) -> Tensor:
        """Distances (P,) of rows (P,) from the points ``index`` (P,), by their float64 differences."""
        step = max(1, CACHE_BYTES // (8 * self.points.shape[1]))
        parts = [
            torch.linalg.vector_norm(self.points[i].to(torch.float64) - self.x[r].to(torch.float64), dim=1)
            for r, i in zip(rows.split(step), index.split(step), strict=True)
        ]
        return torch.cat(parts)

    def measure_all(self, row: int) -> None:
        """Answer a row by its distances from every point."""
        everyone = torch.arange(len(self.points), device=self.points.device)
        distance = self._measure(torch.full_like(everyone, row), everyone)
        if self.exclude is not None and self.exclude[row] >= 0:
            distance[self.exclude[row]] = torch.inf
        distance, order = distance.sort(stable=True)
        self.found.distance[row], self.found.index[row] = distance[: self.k], order[: self.k]


def _unit_roundoff(dtype: torch.dtype) -> float:
    """Of the product: float32 ones are done in TF32 or bfloat16 where torch has been told that they may."""
    if dtype == torch.float32 and torch.get_float32_matmul_precision() != "highest":
        return 2.0**-8
    return torch.finfo(dtype).eps / 2


def _center(points: Tensor) -> Tensor | None:
    """About the middle of the points (any point would do), from a few of them; None where shifting would gain little."""
    few = points[:: len(points) // CENTER_ROWS + 1].to(torch.float64)
    center = few.mean(dim=0)
    return center if center.square().sum() > CENTER_WEIGHT * few.square().sum(dim=1).mean() else None


def _without_surplus_copies(points: Tensor, keep: int) -> Tensor:
    """Indices, ascending, without those of points that have ``keep`` exact copies before them."""
    generator = torch.Generator().manual_seed(0)
    odd = torch.randint(-(2**62), 2**62, (points.shape[1],), generator=generator).to(points.device) * 2 + 1
    step = max(1, BLOCK_BYTES // (3 * 8 * points.shape[1]))
    # Integer sums wrap around the same way in any order, so equal points hash alike (but for the parity of their −0s).
    hashes = torch.cat([(p.to(torch.float64).view(torch.int64) * odd).sum(dim=1) for p in points.split(step)])
    hashes, order = hashes.sort(stable=True)
    new = torch.ones_like(hashes, dtype=torch.bool)
    new[1:] = hashes[1:] != hashes[:-1]
    first = order[new][new.cumsum(0) - 1]
    copy = torch.cat([
        (points[i] == points[f]).all(dim=1) for i, f in zip(order.split(step), first.split(step), strict=True)
    ])  # fmt: skip
    order, first = order[copy], first[copy]
    new = torch.ones_like(first, dtype=torch.bool)
    new[1:] = first[1:] != first[:-1]
    position = torch.arange(len(first), device=points.device)
    rank = position - position[new][new.cumsum(0) - 1]
    surplus = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    surplus[order[rank >= keep]] = True
    return torch.nonzero(~surplus).squeeze(1)
