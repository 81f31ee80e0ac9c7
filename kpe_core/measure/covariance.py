"""The shape of a Gaussian kernel: points whitened by a root of their covariance, so that an isotropic kernel serves all."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kpe_core.errors import UserError

Shape = Literal["isotropic", "diagonal", "full", "shrunk"]
SINGULAR = 100.0
"""A coordinate whose variance given those before it is below this many D u of its own is taken to follow from them."""

PART = 2048
"""Points taken into float64 at a time."""


@dataclass(frozen=True)
class Whitening:
    """x ↦ L⁻¹(x − μ). A density of the image, lowered by ``log_det``, is a density of x."""

    center: Tensor | None
    """μ (D,) float64; None for the identity, which copies nothing."""
    root: Tensor | None
    """L: (D,) float64 diagonal, or (D, D) lower triangular."""
    log_det: float
    """log |det L|."""
    sigma: float
    """Standard deviation of the image's coordinates, the unit of Scott's and Silverman's factors."""

    def __call__(self, x: Tensor) -> Tensor:
        """The image of ``x`` (B, D), float64; ``x`` itself under the identity."""
        if self.center is None or self.root is None:
            return x
        shifted = x.to(torch.float64) - self.center
        if self.root.ndim == 1:
            return shifted / self.root
        return torch.linalg.solve_triangular(self.root, shifted.T, upper=False).T.contiguous()


def whitening(points: Tensor, shape: Shape) -> Whitening:
    """The whitening of ``points`` (N, D) by their covariance Σ = L Lᵀ (over N − 1, as SciPy's).

    ``isotropic`` leaves the points alone, with σ² their mean variance; ``diagonal`` keeps the variances; ``full`` is Σ;
    ``shrunk`` is Σ drawn towards its mean variance as far as Ledoit and Wolf say (over N, as scikit-learn's).

    Raises
    ------
    UserError
        when that covariance is singular.
    """
    center, variance = moments(points)
    if shape == "isotropic":
        return Whitening(None, None, 0.0, math.sqrt(float(variance.mean())))
    require_regular(variance, len(points), shape)
    if shape == "diagonal":
        return Whitening(center, variance.sqrt(), 0.5 * float(variance.log().sum()), 1.0)
    covariance = ledoit_wolf(points, center) if shape == "shrunk" else _gram(points, center) / (len(points) - 1)
    root, failed = torch.linalg.cholesky_ex(covariance)
    pivots = root.diagonal().square() / covariance.diagonal()
    if int(failed) or float(pivots.min()) < SINGULAR * len(pivots) * torch.finfo(torch.float64).eps:
        raise UserError(
            f"kde covariance {shape}: the covariance of the training points is singular, some coordinates follow from "
            f"others; use {'shrunk or diagonal' if shape == 'full' else 'diagonal or isotropic'}"
        )
    return Whitening(center, root, float(root.diagonal().log().sum()), 1.0)


def require_regular(variance: Tensor, n: int, shape: Shape) -> None:
    """Refuse what can be seen to be singular from the variances (D,) of ``n`` points alone.

    Raises
    ------
    UserError
        for ``full`` with N ≤ D, for ``full`` and ``diagonal`` when a coordinate never varies, for all when none does.
    """
    d, constant = len(variance), torch.nonzero(variance == 0).flatten().tolist()
    if len(constant) == d:
        raise UserError(
            f"kde covariance {shape}: the training points are all the same point; use isotropic and a number"
        )
    if shape == "full" and n <= d:
        raise UserError(
            f"kde covariance full: {n} training points in {d} dimensions have a singular covariance; "
            "use shrunk or diagonal, or more points than dimensions"
        )
    if shape in ("full", "diagonal") and constant:
        some = ", ".join(map(str, constant[:5])) + (", …" if len(constant) > 5 else "")
        raise UserError(
            f"kde covariance {shape}: {len(constant)} of {d} coordinates are the same in all training points ({some}); "
            "use shrunk or isotropic"
        )


def moments(points: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (over N − 1) of each coordinate, (D,) float64; a constant coordinate's variance is exactly 0."""
    center = points.mean(dim=0, dtype=torch.float64)
    square, constant = torch.zeros_like(center), torch.ones_like(center, dtype=torch.bool)
    for part in points.split(PART):
        square += (part.to(torch.float64) - center).square().sum(dim=0)
        constant &= (part == points[0]).all(dim=0)
    return center, square.div(max(1, len(points) - 1)).masked_fill(constant, 0.0)


def ledoit_wolf(points: Tensor, center: Tensor) -> Tensor:
    """(1 − ρ) S + ρ μ I with S over N and μ = tr S / D (Ledoit & Wolf, J. Multivariate Anal. 88, 2004).

    ρ = min(1, β/δ): δ = ‖S − μI‖², β = N⁻² Σ ‖x xᵀ − S‖² = N⁻² Σ ‖x‖⁴ − N⁻¹ ‖S‖², Frobenius norms.
    """
    n, d = points.shape
    s = _gram(points, center) / n
    mean = float(s.diagonal().mean())
    fourth = sum((p.to(torch.float64) - center).square().sum(dim=1).square().sum() for p in points.split(PART))
    square = s.square().sum()
    beta, delta = float(fourth) / n**2 - float(square) / n, float(square) - d * mean**2
    shrinkage = min(1.0, max(0.0, beta) / delta) if delta > 0 else 1.0
    return (1.0 - shrinkage) * s + shrinkage * mean * torch.eye(d, dtype=s.dtype, device=s.device)


def _gram(points: Tensor, center: Tensor) -> Tensor:
    """Σ (x − μ)(x − μ)ᵀ, (D, D) float64."""
    total = torch.zeros(len(center), len(center), dtype=torch.float64, device=points.device)
    for part in points.split(PART):
        shifted = part.to(torch.float64) - center
        total.addmm_(shifted.T, shifted)
    return total
