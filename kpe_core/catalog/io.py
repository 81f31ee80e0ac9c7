"""What a query read from the trajectories, against all there is."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from zarr.abc.store import Store as ZarrStore
from zarr.storage import WrapperStore


@dataclass
class IoMeter:
    """Chunks of states decoded and bytes fetched for them since ``reset``; ``missing`` names chunks that were not there."""

    chunks: int = 0
    bytes: int = 0
    missing: set[str] = field(default_factory=set)

    def reset(self) -> None:
        self.chunks = self.bytes = 0
        self.missing.clear()


@dataclass(frozen=True)
class Io:
    """Chunks and stored bytes read by one query, and all the trajectories hold."""

    chunks: int
    bytes: int
    total_chunks: int
    total_bytes: int


class CountingStore(WrapperStore[ZarrStore]):
    """A Zarr store that tells a meter what is fetched through it."""

    def __init__(self, store: ZarrStore, meter: IoMeter) -> None:
        super().__init__(store)
        self._meter = meter

    def _with_store(self, store: ZarrStore) -> "CountingStore":
        return CountingStore(store, self._meter)

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        found = await super().get(key, prototype, byte_range)
        self._count(key, found)
        return found

    async def get_partial_values(self, prototype: Any, key_ranges: Iterable[tuple[str, Any]]) -> list[Any]:
        ranges = list(key_ranges)
        found = await super().get_partial_values(prototype, ranges)
        for (key, _), buffer in zip(ranges, found, strict=True):
            self._count(key, buffer)
        return found

    def _count(self, key: str, buffer: Any) -> None:
        if not key.startswith("x/c/"):
            return
        if buffer is None:
            self._meter.missing.add(key)
        else:
            self._meter.bytes += len(buffer)
