"""What every data set is to the rest: raw points by number, with labels, read from where they lie."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from kpe_core.study.specs import DataSpec

Kind = Literal["points", "image", "latent"]
TRAIN, HELD_OUT, UNUSED = 0, 1, 2
"""Parts of a set that brings its own split."""


@dataclass(frozen=True)
class Source:
    """N raw points. Nothing but labels is in memory until points are read."""

    kind: Kind
    shape: tuple[int, ...]
    """Of one point: (D,) a point, (H, W) a grey image, (C, H, W) a colour image or a latent."""
    labels: NDArray[np.int64]
    """(N,), each from 0 to len(class_names) − 1."""
    class_names: tuple[str, ...]
    read: Callable[[NDArray[np.intp]], NDArray[np.float32]]
    """Raw points of some ascending numbers, (n, *shape) float32. Raises UserError for what cannot be read."""
    value_range: tuple[float, float] | None = None
    """Lowest and highest value there can be, where one is declared."""
    part: NDArray[np.int8] | None = None
    """(N,) TRAIN, HELD_OUT or UNUSED by the publisher's own split."""
    file_of: Callable[[int], Path] | None = None
    """The file a point is read from, where each has its own."""
    scale_factor: float = 1.0
    """What stored latents were multiplied by."""

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, i: int) -> str:
        """Point ``i`` as an error names it."""
        return f"point {i}" if self.file_of is None else str(self.file_of(i))


@dataclass(frozen=True)
class DataSet:
    """How a named data set is found and opened."""

    open: Callable[["DataSpec"], Source]
    """Raises UserError for files that are missing, damaged or of another shape."""
    index: Callable[["DataSpec"], list[Path]] = lambda spec: []
    """The files and folders that say which points there are; none for data inside Python packages and drawn ones.
    Cheap, and raises UserError for what is missing."""
    layout: str = ""
    """What is expected below the root."""
    origin: str = ""
    """Where it comes from, in words."""
