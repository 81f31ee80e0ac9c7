"""The exact field of empirical flow matching (EFM), in one streaming pass over the training points."""

import torch
from torch import Tensor

from kpe_core.fields.base import Evaluation

BLOCK_BYTES = 64 * 2**20
"""Budget for one block of logits; memory does not grow with the number of training points."""


class ExactField:
    """The exact minimiser of the empirical flow-matching loss on the linear bridge γ(t) = t (METHOD §3; [KE] §4).

    For training points x_1 … x_N,

        v*(x, t) = (m(x, t) − x) / (1 − t),   m = Σ wᵢ xᵢ,   w = softmaxᵢ( −‖x − t xᵢ‖² / (2 (1 − t)²) ).

    Parameters
    ----------
    points : (N, D) tensor, any float dtype
    dtype : torch.float64 (default) or torch.float32. In float32 the logits of near-duplicates lose their difference
        late in time, and v with them.
    block : training points per block; None derives it from ``BLOCK_BYTES``. The answer depends on it only by rounding.
    """

    singular_at_one = True

    def __init__(self, points: Tensor, dtype: torch.dtype = torch.float64, block: int | None = None) -> None:
        self.dtype = dtype
        points = points.to(dtype)
        # Shifting x by t·c and every point by c leaves each x − t xᵢ alone, and makes the products below small.
        self.center = points.mean(dim=0)
        self.points = points - self.center
        self.half_norms = 0.5 * self.points.square().sum(dim=1)
        self.block = block

    def evaluate(self, x: Tensor, t: float, label: Tensor | None = None) -> Evaluation:
        """v* and the largest posterior weight at ``x`` (B, D); ``label`` is ignored.

        Raises
        ------
        ValueError
            at t ≥ 1, where v* is not defined.
        """
        if t >= 1.0:
            raise ValueError(f"the exact field is singular at t = 1 (asked for t = {t})")
        z = x.to(self.dtype) - t * self.center
        mean, top = self._posterior(z, t)
        return Evaluation((mean + self.center - x.to(self.dtype)) / (1.0 - t), top)

    def _posterior(self, z: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """Posterior mean (B, D), centred, and largest weight (B,), by an online softmax over blocks of points."""
        n_rows = z.shape[0]
        block = self.block or max(1, BLOCK_BYTES // (n_rows * z.element_size()))
        largest = z.new_full((n_rows, 1), -torch.inf)
        total = z.new_zeros((n_rows, 1))
        weighted = torch.zeros_like(z)
        for start in range(0, len(self.points), block):
            y = self.points[start : start + block]
            # ‖z − t y‖² = ‖z‖² − 2t(z·y − t‖y‖²/2); ‖z‖² is common to all weights and cancels.
            logits = torch.addmm(self.half_norms[start : start + block], z, y.T, beta=-t)
            logits *= t / (1.0 - t) ** 2
            new_largest = torch.maximum(largest, logits.amax(dim=1, keepdim=True))
            carry = torch.exp(largest - new_largest)
            weights = torch.exp(logits - new_largest)
            total = carry * total + weights.sum(dim=1, keepdim=True)
            weighted = carry * weighted + weights @ y
            largest = new_largest
        return weighted / total, (1.0 / total).squeeze(1)
