"""What is laid out before anything is computed: a Zarr group's metadata and coordinates, whose hashes its plan holds."""

import hashlib
from collections.abc import Iterable

from kpe_core.errors import StoreDamaged
from kpe_core.store.store import PARTIAL, Store


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
