"""Points on their way to being prepared: in memory, or in a file that is written and read a few at a time."""

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 8 * 2**20
"""Of points held in memory at once; their statistics take a few times as much."""

Block = NDArray[np.float32]


class Rows(Protocol):
    """``n`` points of one shape. Iterating gives all of them, in blocks."""

    @property
    def most_bytes(self) -> int:
        """What may be in memory on its way here."""

    @property
    def dim(self) -> int:
        """Coordinates of a point."""

    def __iter__(self) -> Iterator[Block]: ...

    def put(self, positions: NDArray[np.intp], points: Block) -> None:
        """Set the points at some positions."""


class MemoryRows:
    """All points in memory, one block."""

    def __init__(self, n: int, shape: tuple[int, ...]) -> None:
        self.dim, self.most_bytes = int(np.prod(shape)), sys.maxsize
        self.points = np.empty((n, *shape), dtype=np.float32)

    def __iter__(self) -> Iterator[Block]:
        yield self.points

    def put(self, positions: NDArray[np.intp], points: Block) -> None:
        self.points[positions] = points


class FileRows:
    """Points in a file of bare float32, row after row."""

    def __init__(self, path: Path, n: int, shape: tuple[int, ...]) -> None:
        self.n, self.shape = n, shape
        self.dim, self.most_bytes = int(np.prod(shape)), BLOCK_BYTES
        self.row_bytes = 4 * self.dim
        self.block = max(1, BLOCK_BYTES // self.row_bytes)
        self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)

    def __iter__(self) -> Iterator[Block]:
        for start in range(0, self.n, self.block):
            size = min(self.block, self.n - start)
            data = bytearray(os.pread(self.file, size * self.row_bytes, start * self.row_bytes))
            yield np.frombuffer(data, dtype=np.float32).reshape(size, *self.shape)

    def put(self, positions: NDArray[np.intp], points: Block) -> None:
        """Rows that follow each other are written at once."""
        breaks = np.flatnonzero(np.diff(positions) != 1) + 1
        starts = [0, *breaks.tolist(), len(positions)]
        for a, b in itertools.pairwise(starts):
            _write(self.file, np.ascontiguousarray(points[a:b]).data.cast("B"), int(positions[a]) * self.row_bytes)

    def close(self) -> None:
        """Once it is on disk."""
        os.fsync(self.file)
        os.close(self.file)


def _write(file: int, data: memoryview, offset: int) -> None:
    while len(data):
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written


def mapped(path: Path, n: int, shape: tuple[int, ...]) -> Block:
    """A file of rows as an array (n, *shape) whose pages come from disk as they are touched. Writing to it changes a
    private copy, never the file."""
    if n == 0:
        return np.empty((0, *shape), dtype=np.float32)
    return np.memmap(path, dtype=np.float32, mode="c", shape=(n, *shape)).view(np.ndarray)
