"""What is laid out before anything is computed: a Zarr group's metadata and coordinates, whose hashes its plan holds."""

import hashlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kpe_core.errors import StoreDamaged
from kpe_core.store.provenance import provenance
from kpe_core.store.sealed import sealed_json
from kpe_core.store.store import PARTIAL, Store

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore

LayOut = Callable[["ZarrStore", dict[str, Any]], None]
"""Writes a Zarr group's metadata and coordinates, with that provenance among its attributes."""


def lay_out(store: Store, folder: str, group: LayOut, plan: dict[str, Any], origin: dict[str, Any] | None) -> None:
    """Lay out ``folder``/data.zarr and, last, write its plan, unless another process was first: then lay out as it did.

    ``origin`` is the provenance to write, where it is not this process's.
    """
    origin = origin or provenance()
    while True:
        laid = store.write_group(f"{folder}/data.zarr", lambda target, origin=origin: group(target, origin))  # type: ignore[misc]
        store.write_first(f"{folder}/plan.json", sealed_json(plan | {"provenance": origin, "laid": laid}))
        first = store.read_json(f"{folder}/plan.json")["provenance"]
        if first == origin:
            return
        origin = first


def laid_out(store: Store, folder: str) -> dict[str, str]:
    """SHA-256 of every object of ``folder``/data.zarr, by its path there."""
    start = f"{folder}/data.zarr/"
    found = (o.path for o in store.objects(f"{folder}/data.zarr") if not o.path.endswith(PARTIAL))
    return {path.removeprefix(start): hashlib.sha256(store.read(path)).hexdigest() for path in found}


def require_laid(store: Store, folder: str, names: Iterable[str]) -> None:
    """That these objects of ``folder``/data.zarr are those that were laid out.

    Raises
    ------
    StoreDamaged
        when one is not, or the plan does not tell.
    """
    wanted = store.read_json(f"{folder}/plan.json")["laid"]
    for name in names:
        path = f"{folder}/data.zarr/{name}"
        if hashlib.sha256(store.read(path)).hexdigest() != wanted[name]:
            raise StoreDamaged(
                f"{store.path(path)} is not what was written there; `kpe verify` says what else is damaged"
            )
