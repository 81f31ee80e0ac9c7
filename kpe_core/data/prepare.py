"""Preparation: pooling, scaling, and the way back for pictures."""

from collections.abc import Iterable
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
    def fit(
        cls, train: Iterable[NDArray[np.float32]], spec: PrepareSpec, bounds: tuple[float, float] | None
    ) -> "Affine":
        """The preparation's affine part, its statistics taken from the train split only.

        ``train``: its points in blocks (n, *shape), passed over three times.

        Raises
        ------
        UserError
            when ``unit`` or ``symmetric`` is asked of data without a declared range, or ``centered`` of points that are
            all the same.
        """
        zero = np.zeros(())
        if spec.scaling == "raw":
            return cls(zero, spec.scale)
        if spec.scaling == "centered":
            shift, std = _mean_and_spread(train)
            if std == 0.0:
                raise UserError("data.prepare.scaling = 'centered': all points of the train split are the same")
            return cls(shift, spec.scale / std)
        if bounds is None:
            raise UserError(
                f"data.prepare.scaling = {spec.scaling!r} needs data with a declared range, and these have none; "
                "use 'centered' or 'raw'"
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


def _mean_and_spread(blocks: Iterable[NDArray[np.float32]]) -> tuple[NDArray[np.float64], float]:
    """Each coordinate's mean, and the one standard deviation about them of all coordinates together."""
    n, total = 0, np.zeros(())
    for block in blocks:
        n, total = n + len(block), total + block.sum(axis=0, dtype=np.float64)
    shift = total / n
    size = n * shift.size
    rest = sum(float((block - shift).sum(dtype=np.float64)) for block in blocks) / size
    square = sum(float(np.square((block - shift) - rest).sum(dtype=np.float64)) for block in blocks)
    return shift, float(np.sqrt(square / size))


def pool_mean(images: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Mean-pool square images (N, S, S) or (N, C, S, S) to ``side`` pixels a side."""
    full = images.shape[-1]
    k = full // side
    parts = images.reshape(*images.shape[:-2], side, k, side, k)
    return parts.mean(axis=(-3, -1), dtype=np.float64).astype(np.float32)


def pooled_shape(shape: tuple[int, ...], side: int | None) -> tuple[int, ...]:
    """The shape (H, W) or (C, H, W) of a point after pooling to ``side``; unchanged for None.

    Raises
    ------
    UserError
        when the data are no square images or ``side`` does not divide theirs.
    """
    if side is None:
        return shape
    if len(shape) < 2:
        raise UserError(f"data.prepare.pool is for images; this data set is {shape[0]}-D points")
    if shape[-1] != shape[-2]:
        raise UserError(f"data.prepare.pool is for square images; these have {shape[-2]}×{shape[-1]} pixels")
    full = shape[-1]
    if side > full or full % side:
        divisors = [s for s in range(2, full + 1) if full % s == 0]
        raise UserError(f"data.prepare.pool = {side} does not divide the side {full}; allowed: {divisors}")
    return (*shape[:-2], side, side)
