"""How wide a Gaussian kernel is: rules of thumb, the points' own spacing, or what predicts the points best."""

import math

import numpy as np
import torch
from torch import Tensor

from kpe_core.errors import UserError
from kpe_core.points.neighbours import Neighbours, nearest

MEDIAN_ROWS = 10_000
"""Points whose neighbours the median is taken over."""
LOO_ROWS = 2000
"""Points that are left out in turn."""
LOO_BYTES = 128 * 2**20
"""Of squared distances kept while the likelihood is maximised; bounds the points left out where there are very many."""
LOO_GRID = 17
PART = 1024
"""Points taken into float64 at a time."""


def bandwidth(points: Tensor, rule: str | float, sigma: float) -> float:
    """The kernel's standard deviation h, for (whitened) ``points`` (N, D) of standard deviation ``sigma``.

    - a number is taken as it is
    - ``scott``: σ N^(−1/(D+4)) (Scott 1992); ``silverman``: σ (N(D+2)/4)^(−1/(D+4)) (Silverman 1986)
    - ``median_nn``: the median distance from a point to its nearest neighbour, exact copies aside
    - ``loo``: maximises the likelihood of points left out of their own density

    The last two look at points drawn with a fixed seed, at most 10,000 and 2000 of them, against all points.

    Raises
    ------
    UserError
        when every point has an exact copy, which leaves ``median_nn`` and ``loo`` without a scale.
    """
    if not isinstance(rule, str):
        return float(rule)
    n, d = points.shape
    if rule in ("scott", "silverman"):
        if sigma == 0:
            raise UserError(f"kde bandwidth {rule}: the training points are all the same point; give a number")
        return sigma * (n if rule == "scott" else n * (d + 2) / 4.0) ** (-1.0 / (d + 4))
    rows = _some(points, MEDIAN_ROWS if rule == "median_nn" else min(LOO_ROWS, LOO_BYTES // (4 * n) + 1))
    near = nearest(points[rows], points, 1, exclude=rows)
    apart = near.distance[:, 0] > 0
    if not bool(apart.any()):
        raise UserError(
            f"kde bandwidth {rule}: every training point has an exact copy, so that no width is too small; "
            "use scott, silverman or a number"
        )
    near = Neighbours(near.distance[apart], near.index[apart])
    return float(near.distance.median()) if rule == "median_nn" else _most_likely(points, rows[apart], near)


def _some(points: Tensor, most: int) -> Tensor:
    """Indices of at most ``most`` points, ascending, the same ones every time."""
    n = len(points)
    chosen = np.arange(n) if n <= most else np.sort(np.random.default_rng(0).choice(n, most, replace=False))
    return torch.from_numpy(chosen).to(points.device)


def _most_likely(points: Tensor, rows: Tensor, near: Neighbours) -> float:
    """argmax over h of L(h) = Σᵢ log Σ_{j≠i} exp(−d²ᵢⱼ/2h²) − n D log h, i over the n ``rows``, ``near`` their nearest.

    Where L is stationary, h² D is the mean of d² under the weights exp(−d²/2h²), which fall with d. So it lies between the
    mean d₁² and the mean of all d²: that is the interval searched, on a grid, then by Brent's method around its best point.
    """
    from scipy.optimize import minimize_scalar

    d = points.shape[1]
    least = near.distance.square()
    gaps, mean = _gaps(points, rows, near)
    low, high = 0.5 * math.log(float(least.mean()) / d), 0.5 * math.log(mean / d)

    def loss(log_h: float) -> float:
        scale = -0.5 * math.exp(-2.0 * log_h)
        # Beside the nearest's 1, e⁻⁸⁰ is nothing, and spares the processor its slow denormal numbers.
        kernels = ((part * scale).clamp_(min=-80.0).exp_() for part in gaps.split(16))
        others = torch.cat([part.sum(dim=1, dtype=torch.float64) for part in kernels])
        return d * log_h - float((scale * least[:, 0] + others.log()).mean())

    grid = np.linspace(low, high, LOO_GRID)
    best = int(np.argmin([loss(log_h) for log_h in grid]))
    around = grid[max(0, best - 1)], grid[min(LOO_GRID - 1, best + 1)]
    return math.exp(minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 1e-6}).x)


def _gaps(points: Tensor, rows: Tensor, near: Neighbours) -> tuple[Tensor, float]:
    """d²ᵢⱼ − d₁²ᵢ (n, N) float32, ∞ where j = i, and the mean d²ᵢⱼ over j ≠ i.

    By a product, which has lost the smallest: what is known of the nearest is kept, and nothing is nearer.
    """
    center = points.mean(dim=0, dtype=torch.float64)
    z = points[rows].to(torch.float64) - center
    least = near.distance.square()
    gaps = torch.empty(len(rows), len(points), dtype=torch.float32, device=points.device)
    for start in range(0, len(points), PART):
        y = points[start : start + PART].to(torch.float64) - center
        square = torch.linalg.vecdot(z, z)[:, None] + torch.linalg.vecdot(y, y)
        gaps[:, start : start + PART] = square.addmm_(z, y.T, alpha=-2.0).sub_(least).clamp_(min=0.0)
    gaps.scatter_(1, near.index, 0.0).scatter_(1, rows[:, None], 0.0)
    mean = least.mean() + gaps.sum(dim=1, dtype=torch.float64).mean() / (len(points) - 1)
    return gaps.scatter_(1, rows[:, None], torch.inf), float(mean)
