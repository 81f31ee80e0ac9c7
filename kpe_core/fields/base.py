"""What a velocity field is to the sampler."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Evaluation(NamedTuple):
    """One evaluation of a field on a batch."""

    velocity: Tensor
    """v(x, t, y), (B, D), in the field's dtype."""
    posterior_max: Tensor | None = None
    """Largest posterior weight, (B,); exact fields only."""


class VelocityField(Protocol):
    """v(x, t, y) on the linear bridge, t = 0 noise, t = 1 data."""

    dtype: torch.dtype
    """In which it computes; the sampler casts its float64 state to it."""
    singular_at_one: bool
    """True where v carries 1/(1 − t), so that no solver may evaluate it at t = 1."""

    def evaluate(self, x: Tensor, t: float, label: Tensor | None) -> Evaluation:
        """Velocity at states ``x`` (B, D), time ``t``, classes ``label`` (B,) int64 or None."""
        ...
