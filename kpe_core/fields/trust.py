"""What no single evaluation shows of a field: asked before the first batch, so that a night is not lost to it."""

import torch
from torch import Tensor

from kpe_core.errors import NumericalTrouble
from kpe_core.fields.base import VelocityField

ROWS = 8
"""Of the first batch that are asked about: three small evaluations in a shard."""
EARLY, LATE = 0.25, 0.5
"""Times asked about: no field is singular there."""
GPU_TOLERANCE = 1e-4
"""Of the velocity's largest coordinate, on devices whose sums may run in another order each time."""


def require_trusted(field: VelocityField, x0: Tensor, label: Tensor | None) -> list[str]:
    """What is odd about ``field``, in sentences, from its velocities at the first of ``x0`` (B, D), ``label`` (B,) or None.

    Odd but allowed: a velocity that does not depend on t.

    Raises
    ------
    NumericalTrouble
        when asked twice it answers differently, as a network does whose dropout is on; names row and time.
    """
    x, label = x0[:ROWS].to(torch.float64), None if label is None else label[:ROWS]
    first, again, earlier = (field.evaluate(x, t, label).velocity for t in (LATE, LATE, EARLY))
    if first.shape != x.shape or not first.is_floating_point():
        return []  # the sampler's first step tells
    apart = (first - again).abs().amax(dim=1)
    allowed = 0.0 if x.device.type == "cpu" else GPU_TOLERANCE * float(first.abs().max())
    if (apart > allowed).any():
        row = int(torch.nonzero(apart > allowed)[0])
        raise NumericalTrouble(
            f"the field is not deterministic: asked twice at the same x in row {row} of the batch, at step 0, "
            f"t = {LATE:g}, its velocities differ by {float(apart[row]):.3g}. Turn off dropout and other random numbers",
            row,
        )
    if torch.equal(first, earlier):
        return [f"the field ignores t: its velocity at t = {EARLY:g} and at t = {LATE:g} is the same for the same x"]
    return []
