"""The sampler: dx/dt = η(t) v(x, t, y) from t = 0 to 1, a step at a time.

A generator, so that whoever records decides what to keep: memory is one batch, whatever the number of steps.
"""

import functools
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kpe_core.fields.base import Evaluation, VelocityField
from kpe_core.sampling.adaptive import adaptive_steps
from kpe_core.sampling.solvers import SOLVERS, Tableau
from kpe_core.sampling.solvers.euler import EULER
from kpe_core.sampling.steps import Gain, Step, evaluated


@dataclass(frozen=True)
class Course:
    """How paths are followed."""

    times: NDArray[np.float64]
    """The grid t_0 = 0 < … < t_n = 1, (n + 1,)."""
    eta: Gain = lambda t: 1.0
    solver: str = "euler"
    breaks: tuple[float, ...] = ()
    """Where η or the bridge has a corner; for the adaptive solver."""
    tolerance: float = 1e-5
    """Of the adaptive solver."""

    @property
    def order(self) -> int:
        return SOLVERS[self.solver].order


def trajectory(field: VelocityField, x0: Tensor, label: Tensor | None, course: Course) -> Iterator[Step]:
    """Follow a batch ``x0`` (B, D) along ``course``, yielding every step.

    The state is float64 whatever the field computes in. A step that would evaluate a field at t = 1 where it is singular
    is Euler's.

    Raises
    ------
    NumericalTrouble
        as soon as a velocity is not finite or of another form than the states, or a path leaves all bounds; names the row
        of the batch, the step and the time.
    """
    method = SOLVERS[course.solver]
    if not isinstance(method, Tableau):
        yield from adaptive_steps(field, x0, label, course.times, course.eta, course.breaks, course.tolerance)
        return
    x = x0.to(torch.float64)
    for i, (t, t_next) in enumerate(itertools.pairwise(course.times.tolist())):
        singular = field.singular_at_one and t + max(method.c) * (t_next - t) >= 1.0
        step = runge_kutta(EULER if singular else method, field, x, label, i, t, t_next, course.eta)
        x = step.state
        yield step


def runge_kutta(
    method: Tableau, field: VelocityField, x: Tensor, label: Tensor | None, i: int, t: float, t_next: float, eta: Gain
) -> Step:
    """Step ``i`` of an explicit method, from ``t`` to ``t_next``; see :class:`Tableau` for what it computes."""
    h = t_next - t
    stages = [t_next if c == 1.0 else t + c * h for c in method.c]
    gains = [eta(s) for s in stages]
    told: list[Evaluation] = []
    velocities: list[Tensor] = []
    for s, a in zip(stages, method.a, strict=True):
        here, v = evaluated(field, _moved(x, h, a, gains, velocities), s, label, i)
        told.append(here)
        velocities.append(v)
    squares = [torch.linalg.vecdot(v, v) for v in velocities]
    if method.mean_gain:
        gains = [0.5 * (eta(t) + eta(t_next))] * len(gains)
    state = _moved(x, h, method.b, gains, velocities)
    weighed = list(zip(method.b, gains, squares, strict=True))
    return Step.of(
        i, told[0], squares[0],
        energy=_sum(0.5 * h * b * gain**2 * square for b, gain, square in weighed),
        energy_raw=_sum(0.5 * h * b * square for b, _, square in weighed),
        length=torch.linalg.vector_norm(state - x, dim=1),
        state=state,
        evaluations=method.evaluations * field.evaluations,
    )  # fmt: skip


def _moved(x: Tensor, h: float, weights: tuple[float, ...], gains: list[float], velocities: list[Tensor]) -> Tensor:
    """x + h Σ weight · gain · v, over the velocities there are."""
    for weight, gain, v in zip(weights, gains, velocities, strict=False):
        if weight != 0.0:
            x = torch.add(x, v, alpha=h * weight * gain)
    return x


def _sum(parts: Iterable[Tensor]) -> Tensor:
    return functools.reduce(torch.add, parts)
