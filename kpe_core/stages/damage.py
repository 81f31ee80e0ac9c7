"""What is wrong with one object of a store."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from kpe_core.errors import StoreDamaged
from kpe_core.store.sealed import Broken
from kpe_core.store.store import Store


class Kind(StrEnum):
    """How an object differs from what should be there."""

    OTHER = "other bytes than were written"
    MISSING = "missing"
    UNFINISHED = "not computed yet"
    STRAY = "nothing that belongs there"


@dataclass(frozen=True)
class Damage:
    """One object: its path in the store, what is wrong, which samples and which runs it touches."""

    path: str
    kind: Kind
    why: str
    samples: tuple[int, int] | None = None
    """From, and up to but without."""
    runs: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f" (samples {self.samples[0]}–{self.samples[1] - 1})" if self.samples else ""
        return f"{self.path}{where}: {self.why}"

    def of(self, runs: tuple[str, ...]) -> "Damage":
        """The same, as part of these runs."""
        return replace(self, runs=runs)


def missing(path: str, samples: tuple[int, int] | None = None) -> Damage:
    return Damage(path, Kind.MISSING, "missing", samples)


def other(
    path: str, why: str = "other bytes than were written there", samples: tuple[int, int] | None = None
) -> Damage:
    return Damage(path, Kind.OTHER, why, samples)


def stray(path: str) -> Damage:
    return Damage(path, Kind.STRAY, "no object that this version writes; remove it, or use the version that wrote it")


def json_damage(store: Store, path: str) -> Damage | None:
    """What is wrong with a JSON object; None when nothing is."""
    return _damage(store, path, lambda: store.read_json(path))


def parquet_damage(store: Store, path: str) -> Damage | None:
    """The same of a Parquet file, read whole."""
    return _damage(store, path, lambda: store.read_parquet(path))


def bytes_damage(store: Store, path: str, require: Callable[[bytes], object]) -> Damage | None:
    """The same of an object whose bytes ``require`` takes and raises Broken for."""
    return _damage(store, path, lambda: require(store.read(path)))


def _damage(store: Store, path: str, read: Callable[[], object]) -> Damage | None:
    if not store.exists(path):
        return missing(path)
    try:
        read()
    except (StoreDamaged, Broken, ValueError):
        return other(path)
    return None


def present(found: Iterable[Damage | None]) -> Iterator[Damage]:
    """Those that are damages."""
    return (damage for damage in found if damage is not None)
