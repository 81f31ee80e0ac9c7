"""Time grids t_0 = 0 < … < t_n = 1."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray


def time_grid(kind: Literal["uniform", "cosine"], steps: int) -> NDArray[np.float64]:
    """(steps + 1,) float64: uniform i/n, or cosine ½(1 − cos(π i/n)) ([KE]; METHOD §4)."""
    i = np.arange(steps + 1) / steps
    grid = i if kind == "uniform" else 0.5 * (1.0 - np.cos(np.pi * i))
    grid[-1] = 1.0
    return grid
