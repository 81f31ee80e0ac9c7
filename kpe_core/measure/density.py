"""Log density of endpoints in nats, under a set of points (k-NN, Gaussian kernels) or under a closed form."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from kpe_core.errors import UserError
from kpe_core.measure.bandwidth import bandwidth
from kpe_core.measure.covariance import moments, whitening
from kpe_core.points.cloud import Cloud
from kpe_core.points.mixture import posterior
from kpe_core.points.neighbours import Searchable, nearest
from kpe_core.study.specs import DensitySpec, KdeDensity, KnnDensity, TrueDensity

SAME = 1e-6
"""In units of the points' root mean square distance from their mean: an endpoint this near a training point is it."""

LogDensity = Callable[[Tensor], Tensor]


class Fitted(NamedTuple):
    """An estimator that has seen its points."""

    log_density: LogDensity
    """(B, D) ↦ (B,) float64."""
    parameter: float
    """k; the bandwidth h, in the data's units, or in those of the covariance's root where there is one; 0 for the truth."""


def fit(points: Tensor, spec: DensitySpec, truth: LogDensity | None = None) -> Fitted:
    """The estimator ``spec`` asks for on ``points`` (N, D), any float dtype; ``truth`` is what `truth` stands for.

    Raises
    ------
    UserError
        when the points have no such covariance or bandwidth, or `truth` is asked where no truth is known.
    """
    match spec:
        case KnnDensity():
            searchable = Searchable(points)
            own = _own_among(searchable, spec.leave_one_out)
            return Fitted(lambda x: knn_log_density(x, searchable, spec.k, own(x)), float(spec.k))
        case KdeDensity():
            return _fit_kde(points, spec)
        case TrueDensity():
            if truth is None:
                raise UserError("density `truth` is known for the 2-D sets only, in space `data`; use knn or kde")
            return Fitted(truth, 0.0)


def estimator_name(spec: DensitySpec) -> str:
    """How an estimator is called in the tables, its choices included where they are not the plain ones."""
    match spec:
        case KnnDensity():
            choices = [f"k={spec.k}"]
        case KdeDensity():
            choices = [str(spec.bandwidth)] + ([spec.covariance] if spec.covariance != "isotropic" else [])
        case TrueDensity():
            return spec.estimator
    return f"{spec.estimator}({', '.join(choices + ['loo'] * spec.leave_one_out)})"


def knn_log_density(x: Tensor, points: Tensor | Searchable, k: int, own: Tensor | None = None) -> Tensor:
    """log p̂ = log k − log N − log V_d − d log r_k, V_d the unit ball's volume, (B,) float64.

    It is +∞ where r_k = 0: k training points lie exactly there. ``own`` (B,) int64 names a point each row leaves out, −1
    for none; N is N − 1 where it does.
    """
    n, d = points.shape
    log_ball = 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d + 1.0)
    r = nearest(x, points, k, own).distance[:, -1]
    return math.log(k) - _log_count(n, own) - log_ball - d * torch.log(r)


def kde_log_density(x: Tensor, cloud: Cloud, h: float, own: Tensor | None = None) -> Tensor:
    """log p̂ = log (1/N) Σ N(x; xᵢ, h² I), (B,) float64; ``own`` as above."""
    kernels = posterior(x, cloud, 1.0, h, mean=False, exclude=own).log_sum
    return kernels - _log_count(len(cloud), own) - cloud.dim * (math.log(h) + 0.5 * math.log(2 * math.pi))


def _fit_kde(points: Tensor, spec: KdeDensity) -> Fitted:
    """An isotropic kernel on whitened points: p(x) = p(L⁻¹(x − μ)) / |det L|."""
    white = whitening(points, spec.covariance)
    image = white(points)
    h = bandwidth(image, spec.bandwidth, white.sigma)
    cloud = Cloud(image, torch.float64)
    own = _own_among(Searchable(points), spec.leave_one_out)
    return Fitted(lambda x: kde_log_density(white(x), cloud, h, own(x)) - white.log_det, h)


def _own_among(points: Searchable, leave_one_out: bool) -> Callable[[Tensor], Tensor | None]:
    """What says which training point each row is (−1: none), and so has to leave out; says None where none is."""
    if not leave_one_out:
        return lambda x: None
    same = SAME * math.sqrt(float(moments(points.points)[1].sum()))

    def own(x: Tensor) -> Tensor:
        near = nearest(x, points, 1)
        return torch.where(near.distance <= same, near.index, -1).squeeze(1)

    return own


def _log_count(n: int, own: Tensor | None) -> Tensor | float:
    """log of how many points a row sees."""
    return math.log(n) if own is None else torch.log(n - (own >= 0).to(torch.float64))
