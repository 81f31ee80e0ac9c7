"""What every layout makes of its files."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from kpe_core.fields.pretrained.conventions import Habits

Ask = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(z (B, *shape), its time (B,), its classes (B,) int64 or None) → its prediction, of z's shape."""


@dataclass(frozen=True)
class Network:
    """A model ready to be asked, whatever its files were."""

    ask: Ask
    habits: Habits
    parameters: int | None
    """How many; None where nobody can tell."""
    channels: int | None = None
    """Of the images it takes; None where its files do not say."""
    divisor: int = 1
    """Their sides must divide by it."""
    labels: int | None = None
    """Labels it knows, its null label among them; None where its files do not say."""
    takes_labels: bool | None = None
    """None where its files do not say."""
