"""Log density of endpoints under a set of points: k-NN and Gaussian kernels, in nats."""

import math

import torch
from torch import Tensor

from kpe_core.errors import UserError
from kpe_core.measure.neighbours import nearest
from kpe_core.study.specs import KdeDensity, KnnDensity

BLOCK_BYTES = 64 * 2**20


def log_density(x: Tensor, points: Tensor, spec: KnnDensity | KdeDensity) -> tuple[Tensor, float]:
    """log p̂ at ``x`` (B, D) from ``points`` (N, D): (B,) float64, with the parameter used (k, or the bandwidth)."""
    if isinstance(spec, KnnDensity):
        return knn_log_density(x, points, spec.k), float(spec.k)
    h = bandwidth(points, spec.bandwidth)
    return kde_log_density(x, points, h), h


def estimator_name(spec: KnnDensity | KdeDensity) -> str:
    """How an estimator is called in the tables, its choices included."""
    return f"knn(k={spec.k})" if isinstance(spec, KnnDensity) else f"kde({spec.bandwidth})"


def knn_log_density(x: Tensor, points: Tensor, k: int) -> Tensor:
    """log p̂ = log k − log N − log V_d − d log r_k, V_d the unit ball's volume."""
    n, d = points.shape
    log_ball = 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d + 1.0)
    r = nearest(x, points, k).distance[:, -1]
    return math.log(k) - math.log(n) - log_ball - d * torch.log(r)


def kde_log_density(x: Tensor, points: Tensor, h: float) -> Tensor:
    """log p̂ = log (1/N) Σ N(x; xᵢ, h² I), streamed with an online log-sum-exp in float64."""
    n, d = points.shape
    center = points.to(torch.float64).mean(dim=0)
    y_all, z = (points.to(torch.float64) - center) / h, (x.to(torch.float64) - center) / h
    block = max(1, BLOCK_BYTES // (8 * max(1, len(z))))
    total = z.new_full((len(z),), -torch.inf)
    half = 0.5 * z.square().sum(dim=1, keepdim=True)
    for start in range(0, n, block):
        y = y_all[start : start + block]
        logits = torch.addmm(-0.5 * y.square().sum(dim=1), z, y.T) - half
        total = torch.logaddexp(total, torch.logsumexp(logits, dim=1))
    return total - math.log(n) - d * math.log(h) - 0.5 * d * math.log(2 * math.pi)


def bandwidth(points: Tensor, rule: str | float) -> float:
    """An isotropic bandwidth: given, Scott's σ N^(−1/(d+4)), or the median nearest-neighbour distance of the points."""
    if not isinstance(rule, str):
        return float(rule)
    points = points.to(torch.float64)
    if rule == "scott":
        n, d = points.shape
        sigma = math.sqrt(float(points.var(dim=0).mean()))
        return sigma * n ** (-1.0 / (d + 4))
    own = nearest(points, points, 2).distance[:, 1]
    if not (own > 0).any():
        raise UserError("kde bandwidth median_nn: every training point has an exact copy; give a number instead")
    return float(own[own > 0].median())
