"""Fields whose paths are known, and a short way to follow them.

For data N(μ, s² I), x_t is N(t μ, σ² I) with σ² = t² s² + (1 − t)², and E[x1 − x0 | x_t = x] is linear in x:

    v(x, t) = μ + σ̇/σ (x − t μ),   x(t) = t μ + σ x0,   x(1) = μ + s x0,
    E(x0) = ½ ∫ ‖μ + σ̇ x0‖² dt = ½ (‖μ‖² + 2 (s − 1) μ·x0 + ‖x0‖² (1 + s² − π s/2)).
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kpe_core.fields.base import Evaluation, VelocityField
from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.noise import initial_noise
from kpe_core.sampling.path import Path, follow
from kpe_core.sampling.sampler import Course, Step, trajectory
from kpe_core.sampling.shaping import breaks, gain
from kpe_core.sampling.solvers import SOLVERS
from kpe_core.study.specs import ShapingSpec

Grid = Literal["uniform", "cosine"]
FIXED = [name for name in SOLVERS if name != "dopri5"]
PLAIN = ShapingSpec()
SHAPED = ShapingSpec(alpha0=0.4, beta0=0.05)
NOISE = torch.from_numpy(initial_noise(0, 0, 6, 3))
X0 = initial_noise(1, 0, 50, 2)
MU, S = np.array([1.5, -0.5]), 0.4


class Formula:
    """Any v(x, t) as a field; remembers when it was evaluated."""

    evaluations = 1
    null_label = None

    def __init__(self, velocity: Callable[[Tensor, float], Tensor], singular_at_one: bool = False) -> None:
        self.velocity, self.singular_at_one = velocity, singular_at_one
        self.asked: list[float] = []

    def evaluate(self, x: Tensor, t: float, label: Tensor | None) -> Evaluation:
        self.asked.append(t)
        return Evaluation(self.velocity(x, t))


def swirl(x: Tensor, t: float) -> Tensor:
    """Nonlinear in x and t, so that no term of a solver may be forgotten."""
    return torch.sin(2 * x.roll(1, dims=1)) + (1 + t**2) * x.cos()


def swirl_np(x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
    return np.sin(2 * np.roll(x, 1, axis=1)) + (1 + t**2) * np.cos(x)


def gaussian_flow(x: Tensor, t: float) -> Tensor:
    mu = torch.from_numpy(MU)
    return mu + (t * S**2 - (1 - t)) / ((t * S) ** 2 + (1 - t) ** 2) * (x - t * mu)


def gaussian_energy(x0: NDArray[np.float64], upto: float = 1.0) -> NDArray[np.float64]:
    """½∫‖v‖² from 0 to ``upto``; ∫σ̇ = σ − 1 and ∫σ̇² = (1 + s²) t − s ∠, ∠ the angle from (1, 0) to (1 − t, s t)."""
    sigma = np.hypot(upto * S, 1 - upto)
    angle = np.arctan2(S * upto, 1 - upto)
    squared = (1 + S**2) * upto - S * angle
    return 0.5 * (MU @ MU * upto + 2 * (sigma - 1) * (x0 @ MU) + np.square(x0).sum(axis=1) * squared)


def course(solver: str, steps: int, grid: Grid = "uniform", shaping: ShapingSpec = PLAIN, **more: float) -> Course:
    return Course(time_grid(grid, steps), lambda t: gain(shaping, t), solver, breaks(shaping), **more)


def walk(field: VelocityField, way: Course, x0: Tensor = NOISE, split: float = 0.6) -> Path:
    return follow(field, x0, None, way, split)


def steps_of(field: VelocityField, way: Course, x0: Tensor = NOISE) -> list[Step]:
    return list(trajectory(field, x0, None, way))
