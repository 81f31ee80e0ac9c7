"""Preparation: pooling, scaling, and the way back for pictures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpe_core.errors import UserError
from kpe_core.study.specs import PrepareSpec


@dataclass(frozen=True)
class Affine:
    """x ↦ (x − shift) · factor, with ``shift`` a scalar or one value per coordinate."""

    shift: NDArray[np.float64]
    factor: float

    @classmethod
    def fit(cls, train: NDArray[np.float32], spec: PrepareSpec, bounds: tuple[float, float] | None) -> "Affine":
        """The preparation's affine part, its statistics taken from the train split only.

        Raises
        ------
        UserError
            when ``unit`` or ``symmetric`` is asked of data without a declared range.
        """
        zero = np.zeros(())
        if spec.scaling == "raw":
            return cls(zero, spec.scale)
        if spec.scaling == "centered":
            shift = train.mean(axis=0, dtype=np.float64)
            std = float((train - shift).std(dtype=np.float64))
            return cls(shift, spec.scale / std)
        if bounds is None:
            raise UserError(
                f"data.prepare.scaling = {spec.scaling!r} needs data with a declared range; "
                "use 'centered' or 'raw' for the 2-D sets"
            )
        low, high = bounds
        if spec.scaling == "unit":
            return cls(np.asarray(low), spec.scale / (high - low))
        return cls(np.asarray((low + high) / 2), 2 * spec.scale / (high - low))

    def apply(self, raw: NDArray) -> NDArray[np.float32]:
        return ((raw - self.shift) * self.factor).astype(np.float32)

    def invert(self, prepared: NDArray) -> NDArray[np.float32]:
        """Back to raw values, for pictures; ``prepared`` (…, *shape)."""
        return (prepared / self.factor + self.shift).astype(np.float32)


def pool_mean(images: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Mean-pool square images (N, S, S) to (N, side, side).

    Raises
    ------
    UserError
        when the data are no images or ``side`` does not divide S.
    """
    if images.ndim != 3:
        raise UserError("data.prepare.pool is for images; this data set is 2-D points")
    full = images.shape[-1]
    if side > full or full % side:
        divisors = [s for s in range(2, full + 1) if full % s == 0]
        raise UserError(f"data.prepare.pool = {side} does not divide the side {full}; allowed: {divisors}")
    k = full // side
    return images.reshape(len(images), side, k, side, k).mean(axis=(2, 4), dtype=np.float64).astype(np.float32)
