"""Initial noise: x0 of sample i depends on (seed, i) alone."""

import numpy as np
from numpy.typing import NDArray

_STREAM = 0x4B50_4531
"""Keeps the noise apart from other uses of the same seed."""


def initial_noise(seed: int, start: int, stop: int, dim: int) -> NDArray[np.float64]:
    """x0 ~ N(0, I) for samples ``start`` … ``stop − 1``: (stop − start, dim) float64.

    One Philox generator per sample, keyed by the seed, its counter set by the sample's index: any batch, shard, order
    or device starts from the same noise.
    """
    return np.stack([_generator(seed, i).standard_normal(dim) for i in range(start, stop)])


def _generator(seed: int, sample: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, _STREAM], counter=[0, 0, 0, sample]))
