"""What the loaders' tests share."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from kpe_core.data.datasets import Prepared, load
from kpe_core.study.specs import DataSpec

RAW: dict[str, Any] = {"prepare": {"scaling": "raw"}}


def loaded(name: str, root: Path, **choices: Any) -> Prepared:
    """A set loaded afresh, as another process would."""
    return load.__wrapped__(DataSpec.model_validate({"name": name, "root": str(root), **choices}))


def rows(*parts: np.ndarray) -> Counter[bytes]:
    """Points, whatever their order."""
    return Counter(np.ascontiguousarray(row, dtype=np.float32).tobytes() for part in parts for row in part)


def labelled(x: np.ndarray, y: np.ndarray) -> Counter[tuple[bytes, int]]:
    """Points with their labels, whatever their order."""
    return Counter((np.ascontiguousarray(row, dtype=np.float32).tobytes(), int(c)) for row, c in zip(x, y, strict=True))
