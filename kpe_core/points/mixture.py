"""Sums of Gaussians over the training points, streamed: what the exact field, its score and kernel densities are made of.

For points x_1 … x_N, a scale γ and a width σ, every row x asks for

    ℓᵢ = −‖x − γ xᵢ‖² / (2σ²),   log Σ exp ℓᵢ,   w = softmax(ℓ),   Σ wᵢ xᵢ,   max wᵢ,   −Σ wᵢ log wᵢ

in one pass over the points with an online softmax: memory is one block, whatever N.

Exactness. A block may be passed over for a row whose largest logit there lies log N − log u below the largest seen so far
(u the dtype's unit roundoff), and further by what rounding may have done to both: the weights so dropped sum to less than
u, and since every point lies within R of the centre, the mean moves by less than 2uR, its own rounding. Late in time,
where one weight dominates, that skips most of the work.

The matrix product behind ℓᵢ cancels where σ is small: its rounding, divided by σ², decides near-ties wrongly. Wherever
that rounding could matter, each row's largest logits are computed again from differences, in float64, and take the place
of what the product said of them; rows where the points beyond those still matter are computed again in float64, and last
of all directly.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from kpe_core.points.cloud import Cloud

CACHE_BYTES = 2**19
"""Of logits in flight on a CPU: what stays in a core's own cache."""
DEVICE_BYTES = 48 * 2**20
"""The same on an accelerator, where large products pay."""
DIFFERENCE_BYTES = 4 * 2**20
"""Of float64 differences in flight."""
ROWS = 256
"""Rows computed together."""
RIVALS = 16
"""Logits of each row that are computed again from differences."""
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-8}
"""Error of a logit below which nothing is computed again."""
MEAN_TOLERANCE = {torch.float32: 4e-6, torch.float64: 4e-8}
"""Largest error left to a row's mean, relative to ‖m − x‖."""
LOG_TOLERANCE = 3e-5
"""The same of log_sum, in nats."""
MISLED = 0.1
"""Errors of a logit beyond which the product does not tell what else matters."""


class Posterior(NamedTuple):
    """Per row of x, float64: (B,), the mean (B, D)."""

    log_sum: Tensor
    """log Σ exp ℓᵢ, nats."""
    largest: Tensor
    """Largest weight."""
    entropy: Tensor
    """−Σ wᵢ log wᵢ, nats."""
    mean: Tensor | None
    """Σ wᵢ xᵢ."""


def posterior(
    x: Tensor, cloud: Cloud, gamma: float, sigma: float, mean: bool = True, exclude: Tensor | None = None
) -> Posterior:
    """The sums above at ``x`` (B, D); ``exclude`` (B,) int64 names a point each row does not see, −1 for none."""
    parts = []
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        parts.append(_rows(x[rows], cloud, gamma, sigma, mean, None if exclude is None else exclude[rows], cloud.dtype))
    return Posterior(*(None if column[0] is None else torch.cat(column) for column in zip(*parts, strict=True)))  # type: ignore[arg-type]


def _rows(
    x: Tensor, cloud: Cloud, gamma: float, sigma: float, mean: bool, exclude: Tensor | None, dtype: torch.dtype
) -> Posterior:
    z = cloud.shifted(x, gamma)
    rounding = _rounding(z, cloud, gamma, sigma, dtype)
    rivalry = rounding > TOLERANCE[dtype]
    sums = _stream(z, cloud, gamma, sigma, mean, exclude, dtype, RIVALS if rivalry else 0, rounding)
    found = sums.finish(z, cloud, sigma)
    return _decide(x, z, cloud, gamma, sigma, mean, exclude, sums, found, rounding) if rivalry else found


def _rounding(z: Tensor, cloud: Cloud, gamma: float, sigma: float, dtype: torch.dtype) -> float:
    """What the product's rounding may add to a logit: 4√D u R (‖z‖ + γR/2) γ/σ² (Higham & Mary 2019, with λ = 4)."""
    u = torch.finfo(dtype).eps / 2
    reach = float(torch.linalg.vector_norm(z, dim=1).max()) + 0.5 * gamma * cloud.radius
    return 4.0 * math.sqrt(cloud.dim) * u * cloud.radius * reach * gamma / sigma**2


# -- the pass over the points ----------------------------------------------------------------------------------------


class _Sums:
    """The online softmax: everything relative to the largest logit so far, in the dtype of the products."""

    def __init__(self, z: Tensor, dtype: torch.dtype, mean: bool, rivals: int) -> None:
        self.largest = z.new_full((len(z), 1), -torch.inf, dtype=dtype)
        self.total = z.new_zeros((len(z), 1), dtype=dtype)
        self.spread = z.new_zeros((len(z), 1), dtype=dtype)
        """Σ exp(ℓ − largest) (ℓ − largest)."""
        self.weighted = z.new_zeros(z.shape, dtype=dtype) if mean else None
        self.rival_logits = z.new_full((len(z), rivals), -torch.inf, dtype=dtype)
        self.rivals = z.new_zeros((len(z), rivals), dtype=torch.int64)

    def add(self, logits: Tensor, points: Tensor, start: int, margin: float) -> None:
        """Take in a block of logits (B, b), which it overwrites, of the points from ``start`` on."""
        top = logits.amax(dim=1, keepdim=True)
        felt = (top >= self.largest - margin).squeeze(1)
        if bool(felt.all()):
            self._merge(slice(None), logits, top, points, start)
        elif bool(felt.any()):
            rows = torch.nonzero(felt).squeeze(1)
            self._merge(rows, logits[rows], top[rows], points, start)

    def _merge(self, rows: slice | Tensor, logits: Tensor, top: Tensor, points: Tensor, start: int) -> None:
        if self.rivals.shape[1]:
            values, index = logits.topk(min(self.rivals.shape[1], logits.shape[1]), dim=1)
            values = torch.cat([self.rival_logits[rows], values], dim=1)
            index = torch.cat([self.rivals[rows], index + start], dim=1)
            self.rival_logits[rows], order = values.topk(self.rivals.shape[1], dim=1)
            self.rivals[rows] = index.gather(1, order)
        before = self.largest[rows]
        largest = torch.maximum(before, top)
        shift = torch.where(torch.isfinite(before), before - largest, 0.0)
        carry = shift.exp()
        logits -= largest
        weights = logits.exp()
        here = weights.sum(dim=1, keepdim=True)
        # An excluded point's −inf times its weight 0 is no number.
        spread = torch.linalg.vecdot(weights, logits.clamp_(min=-1e4)).unsqueeze(1)
        self.spread[rows] = carry * (self.spread[rows] + shift * self.total[rows]) + spread
        self.total[rows] = carry * self.total[rows] + here
        if self.weighted is not None:
            self.weighted[rows] = torch.addmm(carry * self.weighted[rows], weights, points)
        self.largest[rows] = largest

    def finish(self, z: Tensor, cloud: Cloud, sigma: float) -> Posterior:
        total = self.total.to(torch.float64).squeeze(1)
        log_total = total.log()
        common = 0.5 * torch.linalg.vecdot(z, z) / sigma**2
        mean = None
        if self.weighted is not None:
            mean = self.weighted.to(torch.float64) / total[:, None] + cloud.center
        return Posterior(
            log_sum=self.largest.squeeze(1).to(torch.float64) + log_total - common,
            largest=1.0 / total,
            entropy=(log_total - self.spread.to(torch.float64).squeeze(1) / total).clamp(min=0.0),
            mean=mean,
        )


def _stream(
    z: Tensor, cloud: Cloud, gamma: float, sigma: float, mean: bool, exclude: Tensor | None, dtype: torch.dtype,
    rivals: int, rounding: float,
) -> _Sums:  # fmt: skip
    sums = _Sums(z, dtype, mean, min(rivals, len(cloud)))
    left = z.to(dtype)
    width = (CACHE_BYTES if z.device.type == "cpu" else DEVICE_BYTES) // torch.finfo(dtype).bits * 8
    block = max(64, width // len(z))
    if dtype != cloud.dtype:
        block = min(block, _points_at_once(cloud))
    margin = math.log(len(cloud)) - math.log(torch.finfo(dtype).eps / 2) + 2.0 * rounding
    for start in range(0, len(cloud), block):
        y, half = cloud.block(start, start + block, dtype)
        # ‖z − γ y‖² = ‖z‖² − 2γ(z·y − γ‖y‖²/2); ‖z‖² is common to all weights.
        logits = torch.addmm(half, left, y.T, beta=-(gamma**2) / sigma**2, alpha=gamma / sigma**2)
        if exclude is not None:
            own = torch.nonzero((exclude >= start) & (exclude < start + len(y))).squeeze(1)
            logits[own, exclude[own] - start] = -torch.inf
        sums.add(logits, y, start, margin)
    return sums


# -- near-ties -------------------------------------------------------------------------------------------------------


def _decide(
    x: Tensor, z: Tensor, cloud: Cloud, gamma: float, sigma: float, mean: bool, exclude: Tensor | None, sums: _Sums,
    found: Posterior, rounding: float,
) -> Posterior:  # fmt: skip
    """Replace what the product's rounding could spoil by what the differences say."""
    common = 0.5 * torch.linalg.vecdot(z, z) / sigma**2
    told = sums.rival_logits.to(torch.float64) - common[:, None]
    margin = math.log(len(cloud)) - math.log(torch.finfo(torch.float64).eps / 2)
    felt = torch.isfinite(told) & (told >= told[:, :1] - margin - 2.0 * rounding)
    near = torch.full_like(told, -torch.inf)
    near[felt] = differences_logits(x, cloud, *_pairs(felt, sums.rivals), gamma, sigma)
    alone = ~felt[:, -1] | (near.shape[1] == len(cloud))
    told = torch.where(felt, told, -torch.inf)
    wrong = (near - told).nan_to_num(0.0, 0.0, 0.0).abs().amax(dim=1)
    doubtful = ~alone & ((wrong > MISLED) | (_error(z, cloud, told, wrong, sums, found) > 1.0))
    # Alone, the rivals are all there is: what they replace is everything.
    told = torch.where(alone[:, None], -torch.inf, told)
    out = _replaced(found, alone, told, torch.where(doubtful[:, None], told, near), cloud, sums.rivals)
    if not bool(doubtful.any()):
        return out
    rows = torch.nonzero(doubtful).squeeze(1)
    own = None if exclude is None else exclude[rows]
    again = (
        _rows(x[rows], cloud, gamma, sigma, mean, own, torch.float64)
        if sums.total.dtype == torch.float32
        else _direct(x[rows], cloud, gamma, sigma, mean, own)
    )
    return Posterior(*(None if a is None else a.index_copy(0, rows, b) for a, b in zip(out, again, strict=True)))  # type: ignore[arg-type]


def _error(z: Tensor, cloud: Cloud, told: Tensor, wrong: Tensor, sums: _Sums, found: Posterior) -> Tensor:
    """Estimated error of a row whose rivals are put right, in units of what is left to it.

    The rivals show how wrong the logits are, e. Points beyond them weigh at most w (the last rival) each and W together;
    their errors are independent, so the mean is off by about e √w R, and by its own rounding, and log_sum by at most e W.
    """
    log_weights = told - found.log_sum[:, None]
    rest = (1.0 - log_weights.exp().sum(dim=1)).clamp(0.0, 1.0)
    off = wrong * rest / LOG_TOLERANCE
    if found.mean is None:
        return off
    distance = torch.linalg.vector_norm(found.mean - cloud.center - z, dim=1)
    u = torch.finfo(sums.total.dtype).eps
    moved = (wrong * (0.5 * log_weights[:, -1]).exp().clamp(max=1.0) + u) * cloud.radius
    return torch.maximum(off, moved / (MEAN_TOLERANCE[cloud.dtype] * distance).clamp(min=1e-300))


def _replaced(found: Posterior, alone: Tensor, told: Tensor, near: Tensor, cloud: Cloud, index: Tensor) -> Posterior:
    """``found`` with the logits ``told`` (B, K) of the points ``index`` replaced by ``near``; without it where ``alone``.

    With a = exp(told − L), n = exp(near − L) and L the log_sum found, the total becomes 1 + Σ(n − a), and so on.
    """
    base = torch.where(alone, near.amax(dim=1), found.log_sum)
    kept = torch.where(alone, 0.0, 1.0).to(torch.float64)
    a, n = (told - base[:, None]).exp(), (near - base[:, None]).exp()
    total = kept + (n - a).sum(dim=1)
    # −∞ times its weight 0 is no number.
    plogp = [(w * (ell - base[:, None]).clamp(min=-1e4)).sum(dim=1) for w, ell in ((n, near), (a, told))]
    entropy = total.log() + (kept * found.entropy - plogp[0] + plogp[1]) / total
    mean = None
    if found.mean is not None:
        mean = (kept[:, None] * found.mean + _weighted(n - a, cloud, index)) / total[:, None]
    return Posterior(base + total.log(), n.amax(dim=1) / total, entropy.clamp(min=0.0), mean)


def _pairs(chosen: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (P,) and points (P,) where ``chosen`` (B, K), for the points ``index`` (B, K)."""
    return torch.nonzero(chosen)[:, 0], index[chosen]


def differences_logits(x: Tensor, cloud: Cloud, rows: Tensor, points: Tensor, gamma: float, sigma: float) -> Tensor:
    """ℓ of rows (P,) of ``x`` and points (P,), from the differences x − γ xᵢ, in float64, (P,)."""
    most = _points_at_once(cloud)
    out = x.new_empty(len(rows), dtype=torch.float64)
    for part, r, i in zip(out.split(most), rows.split(most), points.split(most), strict=True):
        gap = cloud.given[i].to(torch.float64).mul_(-gamma).add_(x[r])
        torch.sum(gap.square_(), dim=1, out=part)
    return out.mul_(-0.5 / sigma**2)


def _points_at_once(cloud: Cloud) -> int:
    return max(1, DIFFERENCE_BYTES // (8 * cloud.dim))


def softmax_of(logits: Tensor, cloud: Cloud, index: Tensor, mean: bool) -> Posterior:
    """The sums over the points ``index`` (B, K) alone."""
    log_sum = logits.logsumexp(dim=1)
    log_weights = logits - log_sum[:, None]
    weights = log_weights.exp()
    entropy = -(weights * log_weights.clamp(min=-1e4)).sum(dim=1).clamp(max=0.0)
    return Posterior(log_sum, weights.amax(dim=1), entropy, _weighted(weights, cloud, index) if mean else None)


def _weighted(weights: Tensor, cloud: Cloud, index: Tensor) -> Tensor:
    """Σ weight · x over the points ``index`` (B, K), (B, D) float64."""
    out = weights.new_zeros(len(weights), cloud.dim)
    most = _points_at_once(cloud)
    rows, points = _pairs(weights != 0, index)
    shares = weights[weights != 0]
    for w, r, i in zip(shares.split(most), rows.split(most), points.split(most), strict=True):
        out.index_add_(0, r, cloud.given[i].to(torch.float64).mul_(w[:, None]))
    return out


def _direct(x: Tensor, cloud: Cloud, gamma: float, sigma: float, mean: bool, exclude: Tensor | None) -> Posterior:
    """Row by row from the differences to every point: slow, and right wherever float64 is."""
    parts = []
    for i in range(len(x)):
        everyone = torch.arange(len(cloud), device=x.device)
        if exclude is not None:
            everyone = everyone[everyone != exclude[i]]
        logits = differences_logits(x, cloud, torch.full_like(everyone, i), everyone, gamma, sigma)[None]
        felt = torch.nonzero(logits[0] >= logits.max() - 745.0).squeeze(1)
        parts.append(softmax_of(logits[:, felt], cloud, everyone[felt][None], mean))
    return Posterior(*(None if column[0] is None else torch.cat(column) for column in zip(*parts, strict=True)))  # type: ignore[arg-type]
