"""A batch's whole way from noise to data: what it spent, what the field told, and where it ended."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kpe_core.fields.base import VelocityField
from kpe_core.sampling.energy import Energies, Spent, energies
from kpe_core.sampling.sampler import Course, trajectory
from kpe_core.sampling.steps import evaluated

Array = NDArray[np.float64]
TOLD = ("posterior_max", "posterior_entropy", "log_density")


@dataclass(frozen=True)
class Path:
    """Of a batch of B paths over n steps."""

    spent: Spent
    told: dict[str, Array]
    """What an exact field told at each step's start, (B, n) each; empty for others."""
    energies: Energies
    x1: Tensor
    """x(1), (B, D) float64."""
    evaluations: int
    """Network evaluations per sample, the one at t = 1 included."""


def follow(
    field: VelocityField,
    x0: Tensor,
    label: Tensor | None,
    course: Course,
    split: float,
    keep: Callable[[int, Tensor], None] = lambda index, state: None,
) -> Path:
    """Follow ``x0`` (B, D) to the end; ``keep`` is handed every state with its index in the time grid, from 0 on.

    Energies are split at ``split``. At t = 1 the velocity is evaluated once more for the trapezoid and Simpson sums,
    unless the field is singular there.

    Raises
    ------
    NumericalTrouble
        as :func:`trajectory` does.
    """
    steps = len(course.times) - 1
    columns: dict[str, Array] = {}
    state, evaluations = x0, 0
    keep(0, x0)
    for step in trajectory(field, x0, label, course):
        for name in ("power", "energy", "energy_raw", "length", *TOLD):
            values = getattr(step, name)
            if values is not None:
                column = columns.setdefault(name, np.empty((len(x0), steps)))
                column[:, step.index] = values.cpu().numpy()
        keep(step.index + 1, step.state)
        state, evaluations = step.state, evaluations + step.evaluations
    end_power = columns["power"][:, -1]
    if not field.singular_at_one:
        _, v = evaluated(field, state, 1.0, label, steps)
        end_power, evaluations = torch.linalg.vecdot(v, v).cpu().numpy(), evaluations + field.evaluations
    power, energy, energy_raw, length = (columns.pop(name) for name in ("power", "energy", "energy_raw", "length"))
    spent = Spent(power, energy, energy_raw, length, end_power)
    displacement = torch.linalg.vector_norm(state - x0, dim=1).cpu().numpy()
    eta = np.array([course.eta(t) for t in course.times.tolist()])
    found = energies(spent, displacement, course.times, eta, split, course.order)
    return Path(spent, columns, found, state, evaluations)
