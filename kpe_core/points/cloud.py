"""The training points as streamed matrix products want them."""

from collections.abc import Iterator

import torch
from torch import Tensor

OFF_CENTRE = 0.01
"""Share of the points' mean squared norm that their mean may hold before centring pays for a copy."""
PART_BYTES = 4 * 2**20
"""Of float64 copies in flight."""


class Cloud:
    """Points x_i (N, D), centred, with half their squared norms.

    Shifting x by γ·c and every point by c leaves each x − γ xᵢ alone and makes the products below small. Points that are
    centred already, in the dtype asked for, are shared and not copied.

    Parameters
    ----------
    points : (N, D) tensor of any float dtype, N ≥ 1. Kept by reference: near-ties are decided on the very values given.
    dtype : of the matrix products, torch.float32 or torch.float64.
    """

    def __init__(self, points: Tensor, dtype: torch.dtype) -> None:
        self.given = points
        self.dtype = dtype
        self.points = points.to(dtype)
        self.center = torch.stack([part.sum(dim=0) for part in _parts(points)]).sum(dim=0) / len(points)
        self.half_norms = _half_norms(self.points)
        if self.center.square().sum() > OFF_CENTRE * 2.0 * self.half_norms.mean():
            self.points = torch.cat([(part - self.center).to(dtype) for part in _parts(points)])
            self.half_norms = _half_norms(self.points)
        else:
            self.center = torch.zeros_like(self.center)
        self.half_norms = self.half_norms.to(dtype)
        self.radius = float((2.0 * self.half_norms.max()).sqrt())
        """Largest distance of a point from the centre."""

    def __len__(self) -> int:
        return len(self.points)

    @property
    def dim(self) -> int:
        return self.points.shape[1]

    def shifted(self, x: Tensor, gamma: float) -> Tensor:
        """z = x − γ c, (B, D) float64, so that x − γ xᵢ = z − γ yᵢ for the centred points yᵢ."""
        return x.to(torch.float64) - gamma * self.center

    def block(self, start: int, stop: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Centred points (b, D) and half their squared norms (b,), true to ``dtype`` however the cloud holds them."""
        if dtype == self.dtype:
            return self.points[start:stop], self.half_norms[start:stop]
        y = (self.given[start:stop].to(torch.float64) - self.center).to(dtype)
        return y, 0.5 * torch.linalg.vecdot(y, y)

    def part(self, start: int, stop: int) -> "Cloud":
        """Points ``start`` … ``stop − 1`` as a cloud of their own, sharing memory and centre."""
        part = object.__new__(Cloud)
        part.given, part.dtype, part.center = self.given[start:stop], self.dtype, self.center
        part.points, part.half_norms = self.points[start:stop], self.half_norms[start:stop]
        part.radius = float((2.0 * part.half_norms.max()).sqrt())
        return part


def _parts(points: Tensor) -> Iterator[Tensor]:
    """The points in float64, a few at a time."""
    for part in points.split(max(1, PART_BYTES // (8 * points.shape[1]))):
        yield part.to(torch.float64)


def _half_norms(points: Tensor) -> Tensor:
    """½‖yᵢ‖², (N,) float64."""
    return 0.5 * torch.cat([part.square().sum(dim=1) for part in _parts(points)])
