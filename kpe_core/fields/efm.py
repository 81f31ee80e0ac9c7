"""The exact field of empirical flow matching (EFM): velocity, score and density in one pass over the training points."""

import math

import torch
from torch import Tensor

from kpe_core.errors import UserError
from kpe_core.fields.base import Evaluation
from kpe_core.fields.bridges import LINEAR, Bridge
from kpe_core.points.cloud import Cloud
from kpe_core.points.mixture import Posterior, posterior

SMALL_DIM = 32
"""Up to here the products cost nothing and float32 would only lose digits."""


class ExactField:
    """The exact minimiser of the empirical flow-matching loss (METHOD §3; [KE] §4).

    For training points x_1 … x_N and the bridge x_t = γ x_1 + σ x_0, σ = 1 − γ,

        v*(x, t) = γ̇ (m(x, t) − x) / σ,   m = Σ wᵢ xᵢ,   w = softmaxᵢ( −‖x − γ xᵢ‖² / (2σ²) )
        p_t(x)   = (1/N) Σ N(x; γ xᵢ, σ² I),   ∇log p_t(x) = (γ m − x) / σ²

    Asked with a class y, it sees that class's points only: v*(x, t, y) and p_t(x | y).

    Parameters
    ----------
    points : (N, D) tensor, any float dtype
    labels : (N,) int64, or None where the field is never asked by class
    bridge : γ(t)
    dtype : of the matrix products. float64 is right to 1e-9 of ‖v‖ and better; float32 to 1e-5, its near-ties decided in
        float64 (kpe_core.points.mixture). Answers are float64. In few dimensions float64 is used throughout.
    """

    singular_at_one = True
    null_label: int | None = None
    evaluations = 1

    def __init__(
        self, points: Tensor, labels: Tensor | None = None, bridge: Bridge = LINEAR, dtype: torch.dtype = torch.float64
    ) -> None:
        self.bridge = bridge
        self.class_rows: dict[int, slice] = {}
        if labels is not None:
            order = torch.argsort(labels, stable=True)
            points, labels = points[order], labels[order]
            for y in labels.unique().tolist():
                here = torch.nonzero(labels == y)
                self.class_rows[y] = slice(int(here[0]), int(here[-1]) + 1)
        self.cloud = Cloud(points, torch.float64 if points.shape[1] <= SMALL_DIM else dtype)
        self.class_clouds = {y: self.cloud.part(rows.start, rows.stop) for y, rows in self.class_rows.items()}

    def evaluate(self, x: Tensor, t: float, label: Tensor | None = None) -> Evaluation:
        """v*, the posterior's largest weight and entropy, and log p_t, at ``x`` (B, D) and ``t`` < 1, all float64.

        Raises
        ------
        ValueError
            at t ≥ 1, where v* is not defined.
        UserError
            when asked for a class without training points.
        """
        p, log_density = self._posterior(x, t, label)
        at = self.bridge.at(t)
        assert p.mean is not None
        return Evaluation(at.rate * (p.mean - x.to(torch.float64)) / at.sigma, p.largest, p.entropy, log_density)

    def score(self, x: Tensor, t: float, label: Tensor | None = None) -> Tensor:
        """∇log p_t(x), (B, D) float64. Lemma 4.1: v* = (γ̇σ/γ) ∇log p_t(x) + (γ̇/γ) x.

        Raises as ``evaluate``.
        """
        p, _ = self._posterior(x, t, label)
        at = self.bridge.at(t)
        assert p.mean is not None
        return (at.gamma * p.mean - x.to(torch.float64)) / at.sigma**2

    def posterior_mean(self, x: Tensor, t: float, label: Tensor | None = None) -> Tensor:
        """m(x, t) = E[x_1 | x_t = x], (B, D) float64. Raises as ``evaluate``."""
        p, _ = self._posterior(x, t, label)
        assert p.mean is not None
        return p.mean

    def _posterior(self, x: Tensor, t: float, label: Tensor | None) -> tuple[Posterior, Tensor]:
        """The posterior over the training points, and log p_t."""
        if t >= 1.0:
            raise ValueError(f"the exact field is singular at t = 1 (asked for t = {t})")
        at = self.bridge.at(t)
        if label is None:
            p = posterior(x, self.cloud, at.gamma, at.sigma)
            count: float | Tensor = math.log(len(self.cloud))
        else:
            p, count = self._by_class(x, at.gamma, at.sigma, label)
        d = self.cloud.dim
        return p, p.log_sum - count - d * math.log(at.sigma) - 0.5 * d * math.log(2.0 * math.pi)

    def _by_class(self, x: Tensor, gamma: float, sigma: float, label: Tensor) -> tuple[Posterior, Tensor]:
        """Each row under its own class's points, and the logarithm of how many those are."""
        largest, entropy, log_sum, count = (x.new_empty(len(x), dtype=torch.float64) for _ in range(4))
        out = Posterior(log_sum, largest, entropy, torch.empty_like(x, dtype=torch.float64))
        for y in label.unique().tolist():
            if y not in self.class_clouds:
                known = ", ".join(str(c) for c in self.class_clouds) or "none: the field was built without labels"
                raise UserError(f"the exact field has no training point of class {y}; classes with points: {known}")
            rows = torch.nonzero(label == y).squeeze(1)
            for whole, part in zip(out, posterior(x[rows], self.class_clouds[y], gamma, sigma), strict=True):
                assert whole is not None
                assert part is not None
                whole[rows] = part
            count[rows] = math.log(len(self.class_clouds[y]))
        return out, count
