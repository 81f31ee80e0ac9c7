"""What a velocity field is to the sampler."""

from typing import NamedTuple, Protocol

from torch import Tensor


class Evaluation(NamedTuple):
    """One evaluation of a field on a batch. What only exact fields know is None elsewhere; it is (B,) float64."""

    velocity: Tensor
    """v(x, t, y), (B, D)."""
    posterior_max: Tensor | None = None
    """Largest posterior weight."""
    posterior_entropy: Tensor | None = None
    """Entropy of the posterior weights, nats."""
    log_density: Tensor | None = None
    """log p_t(x), nats."""


class VelocityField(Protocol):
    """v(x, t, y), t = 0 noise, t = 1 data."""

    singular_at_one: bool
    """True where v carries 1/(1 − γ), so that no solver may evaluate it at t = 1."""
    null_label: int | None
    """The class that stands for none within a batch of classes; None where only a whole batch can do without, or none."""
    evaluations: int
    """Network evaluations (NFE) that one call costs: two under guidance."""

    def evaluate(self, x: Tensor, t: float, label: Tensor | None) -> Evaluation:
        """Velocity at states ``x`` (B, D) float64, time ``t``, classes ``label`` (B,) int64 or None."""
        ...
