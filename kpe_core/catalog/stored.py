"""The stored states of one run, with what is read of them counted."""

from functools import cached_property

import numpy as np
import zarr
from numpy.typing import NDArray

from kpe_core.catalog.io import CountingStore, IoMeter
from kpe_core.errors import StoreDamaged
from kpe_core.store.laid import require_laid
from kpe_core.store.store import Store


class StoredStates:
    """The array ``x`` of one run, (sample, state, …) float32, opened when first asked for."""

    def __init__(self, store: Store, run: str, folder: str, meter: IoMeter) -> None:
        self.run = run
        self.folder = folder
        self._store = store
        self._meter = meter

    @cached_property
    def _group(self) -> zarr.Group:
        try:
            require_laid(self._store, self.folder, ("zarr.json",))
            inner = self._store.zarr(f"{self.folder}/data.zarr", read_only=True)
            return zarr.open_group(CountingStore(inner, self._meter), mode="r", zarr_format=3)
        except StoreDamaged:
            raise
        except Exception as error:
            raise StoreDamaged(f"{self._store.path(self.folder)}/data.zarr cannot be opened: {error}") from None

    @cached_property
    def x(self) -> zarr.Array:
        try:
            found = self._group["x"]
            if not isinstance(found, zarr.Array) or found.ndim < 3 or found.dtype != np.float32:
                raise ValueError("it is no float32 array of samples, states and coordinates")
        except StoreDamaged:
            raise
        except Exception as error:  # of Zarr's own many kinds
            raise StoreDamaged(f"{self._store.path(self.folder)}/data.zarr/x cannot be read: {error}") from None
        return found

    @cached_property
    def times(self) -> NDArray[np.float64]:
        """t of each state."""
        try:
            return np.asarray(self._group["t"][:], dtype=np.float64)  # type: ignore[index]
        except StoreDamaged:
            raise
        except Exception as error:
            raise StoreDamaged(f"{self._store.path(self.folder)}/data.zarr/t cannot be read: {error}") from None

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Samples, states, coordinates."""
        return self.x.shape[0], self.x.shape[1], int(np.prod(self.x.shape[2:]))

    @property
    def chunk(self) -> tuple[int, int]:
        """Samples and states in one chunk, which is the least that can be read."""
        return self.x.chunks[0], self.x.chunks[1]

    @property
    def n_chunks(self) -> int:
        (n, k, _), (a, b) = self.shape, self.chunk
        return -(-n // a) * -(-k // b)

    @property
    def stored_bytes(self) -> int:
        return int(self._store.fs.du(f"{self._store.path(self.folder)}/data.zarr/x"))

    def read(self, samples: NDArray[np.int64], states: NDArray[np.int64]) -> NDArray[np.float32]:
        """States of the given samples, (samples, states, coordinates).

        Raises
        ------
        StoreDamaged
            when a chunk is missing or cannot be decoded.
        """
        touched = len(np.unique(samples // self.chunk[0])) * len(np.unique(states // self.chunk[1]))
        try:
            values = self.x.oindex[_selection(samples), _selection(states)]
        except Exception as error:
            raise StoreDamaged(f"{self._store.path(self.folder)}/data.zarr/x cannot be read: {error}") from None
        self._meter.chunks += touched
        if self._meter.missing:
            raise StoreDamaged(f"{self._store.path(self.folder)}/data.zarr/{self._meter.missing.pop()} is missing")
        return np.asarray(values).reshape(len(samples), len(states), -1)


def _selection(index: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    """A slice where the indices are consecutive, since Zarr reads those faster."""
    whole = index[-1] - index[0] + 1 == len(index)
    return slice(int(index[0]), int(index[-1]) + 1) if whole else index
