"""The sampler: dx/dt = η(t) v(x, t, y) from t = 0 to 1, a step at a time.

A generator, so that whoever records decides what to keep: memory is one batch, whatever the number of steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kpe_core.errors import NumericalTrouble
from kpe_core.fields.base import Evaluation, VelocityField


@dataclass(frozen=True)
class Step:
    """What one step tells. Tensors are float64."""

    index: int
    power: Tensor
    """‖v(x_i, t_i)‖², (B,), of the velocity the solver evaluated at the step's start."""
    speed: Tensor
    """Length of the step's displacement over its duration, (B,)."""
    posterior_max: Tensor | None
    state: Tensor
    """x(t_{i+1}), (B, D). Not reused by later steps."""
    evaluations: int


def trajectory(
    field: VelocityField,
    x0: Tensor,
    label: Tensor | None,
    times: NDArray[np.float64],
    eta: NDArray[np.float64],
    solver: Literal["euler", "heun"],
) -> Iterator[Step]:
    """Integrate a batch along ``times`` (n + 1,) with gains ``eta`` (n + 1,), yielding every step.

    euler:  x ← x + dt η(tᵢ) v(x, tᵢ)
    heun:   x̃ = x + dt η(tᵢ) v(x, tᵢ);  x ← x + dt ½(η(tᵢ) + η(tᵢ₊₁)) ½(v(x, tᵢ) + v(x̃, tᵢ₊₁))   ([KE]'s, METHOD §4)

    The state is float64 whatever the field computes in. Where the field is singular at t = 1, Heun's last step is
    Euler's.

    Raises
    ------
    NumericalTrouble
        as soon as a velocity is not finite; names the row of the batch, the step and the time.
    """
    x = x0.to(torch.float64)
    for i, (t, t_next) in enumerate(zip(times[:-1].tolist(), times[1:].tolist(), strict=True)):
        dt = t_next - t
        here = field.evaluate(x, t, label)
        v = here.velocity.to(torch.float64)
        power = v.square().sum(dim=1)
        _require_finite(v, i, t)
        evaluations = 1
        move = eta[i] * v
        if solver == "heun" and not (field.singular_at_one and t_next >= 1.0):
            v_ahead = field.evaluate(x + dt * move, t_next, label).velocity.to(torch.float64)
            _require_finite(v_ahead, i, t_next)
            move = 0.5 * (eta[i] + eta[i + 1]) * 0.5 * (v + v_ahead)
            evaluations = 2
        x = x + dt * move
        yield Step(i, power, move.square().sum(dim=1).sqrt(), _float64(here), x, evaluations)


def _float64(evaluation: Evaluation) -> Tensor | None:
    return None if evaluation.posterior_max is None else evaluation.posterior_max.to(torch.float64)


def _require_finite(v: Tensor, step: int, t: float) -> None:
    finite = torch.isfinite(v).all(dim=1)
    if not finite.all():
        row = int(torch.nonzero(~finite)[0])
        raise NumericalTrouble(f"velocity is not finite in row {row} of the batch, at step {step}, t = {t:.6g}")
