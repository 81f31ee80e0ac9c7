"""What one step of a trajectory tells, whichever solver made it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kpe_core.errors import NumericalTrouble
from kpe_core.fields.base import Evaluation

Gain = Callable[[float], float]
"""η(t)."""


@dataclass(frozen=True)
class Step:
    """Tensors are float64, (B,) but for the state."""

    index: int
    power: Tensor
    """‖v(x_i, t_i)‖² of the field's own velocity at the step's start."""
    energy: Tensor
    """½∫‖ηv‖² over the step, by the solver's own quadrature."""
    energy_raw: Tensor
    """½∫‖v‖² over the step."""
    length: Tensor
    """Of the path within the step."""
    posterior_max: Tensor | None
    posterior_entropy: Tensor | None
    log_density: Tensor | None
    """As the field told them at the step's start; exact fields only."""
    state: Tensor
    """x(t_{i+1}), (B, D). Not reused by later steps."""
    evaluations: int
    """Network evaluations per sample that the step took, guidance counted twice."""

    @classmethod
    def of(
        cls, index: int, here: Evaluation, power: Tensor, energy: Tensor, energy_raw: Tensor, length: Tensor,
        state: Tensor, evaluations: int,
    ) -> "Step":  # fmt: skip
        """A step that began with the evaluation ``here``."""
        return cls(
            index, power, energy, energy_raw, length, here.posterior_max, here.posterior_entropy, here.log_density,
            state, evaluations,
        )  # fmt: skip


def require_finite(v: Tensor, step: int, t: float) -> None:
    """Refuse a velocity (B, D) that is not finite.

    Raises
    ------
    NumericalTrouble
        names the row of the batch, the step and the time.
    """
    finite = torch.isfinite(v).all(dim=1)
    if not finite.all():
        row = int(torch.nonzero(~finite)[0])
        raise NumericalTrouble(f"velocity is not finite in row {row} of the batch, at step {step}, t = {t:.6g}")
