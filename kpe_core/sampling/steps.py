"""What one step of a trajectory tells, whichever solver made it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kpe_core.errors import NumericalTrouble
from kpe_core.fields.base import Evaluation, VelocityField

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


FARTHEST = 1e10
"""Of any coordinate: no prepared data come near, and float32, in which states are stored, holds three digits there."""


def evaluated(field: VelocityField, x: Tensor, t: float, label: Tensor | None, step: int) -> tuple[Evaluation, Tensor]:
    """What ``field`` tells at ``x`` (B, D) float64, and its velocity (B, D) in float64: finite, and of the right form.

    Raises
    ------
    NumericalTrouble
        when it is not, or ``x`` has gone beyond all bounds; names the row of the batch, the step and the time.
    """
    where = f"at step {step}, t = {t:.6g}"
    _require_rows(x.abs().amax(dim=1) <= FARTHEST, f"has gone beyond {FARTHEST:g}", "the path", where)
    told = field.evaluate(x, t, label)
    v = told.velocity
    if v.shape != x.shape or not v.is_floating_point():
        raise NumericalTrouble(
            f"the field returns {v.dtype} of shape {tuple(v.shape)} {where}; for states {tuple(x.shape)} its velocity must "
            "be floating point of the same shape"
        )
    v = v.to(torch.float64)
    _require_rows(torch.isfinite(v).all(dim=1), "is not finite", "velocity", where)
    return told, v


def _require_rows(good: Tensor, said: str, what: str, where: str) -> None:
    if not good.all():
        row = int(torch.nonzero(~good)[0])
        raise NumericalTrouble(f"{what} {said} in row {row} of the batch, {where}", row)
