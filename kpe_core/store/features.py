"""Features of real data in a store: one Zarr v3 group for each (data, extractor, weights), computed once for every study.

Laid out like trajectories: metadata first, then parts that each own one chunk, each with a marker written last.
"""

import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec

from kpe_core.errors import StoreDamaged
from kpe_core.store.laid import lay_out, require_laid
from kpe_core.store.store import Store

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore


COMPRESSORS = (ZstdCodec(), Crc32cCodec())


class FeatureSet:
    """The features of a data set's train split, then of its held-out split: ``features`` (point, feature) float32."""

    def __init__(self, store: Store, features_id: str) -> None:
        self.store = store
        self.folder = f"features/{features_id}"

    def create(
        self,
        n_train: int,
        n_held_out: int,
        dim: int,
        rows_at_once: int,
        about: dict[str, Any],
        origin: dict[str, Any] | None = None,
    ) -> None:
        """Write metadata unless it is there; the plan file, written last, says it is whole.

        ``origin`` is the provenance to write, where it is not this process's.
        """
        with self.store.lock(self.folder.replace("/", "-"), wait=True):
            left_over = self.store.list(f"{self.folder}/parts")  # as ``Trajectories.create``
            if self.exists():
                return
            for name in left_over:
                self.store.remove(f"{self.folder}/parts/{name}")
            n = n_train + n_held_out

            def group(target: "ZarrStore", origin: dict[str, Any]) -> None:
                attributes = {"title": "Features of real data", **about, "n_train": n_train, "provenance": origin}
                zarr.create_group(target, attributes=attributes).create_array(
                    "features", shape=(n, dim), chunks=(min(n, rows_at_once), dim), dtype="float32", fill_value=np.nan,
                    dimension_names=("point", "feature"), compressors=COMPRESSORS,
                    attributes={"long_name": "train split, then held out"},
                )  # fmt: skip

            plan = {"n_train": n_train, "n_held_out": n_held_out, "dim": dim, "rows_at_once": rows_at_once}
            lay_out(self.store, self.folder, group, plan, origin)

    def exists(self) -> bool:
        return self.store.exists(f"{self.folder}/plan.json")

    def plan(self) -> dict[str, Any]:
        return dict(self.store.read_json(f"{self.folder}/plan.json"))

    # -- parts ---------------------------------------------------------------------------------------------------

    def rows(self, part: int) -> tuple[int, int]:
        plan = self.plan()
        start = part * plan["rows_at_once"]
        return start, min(plan["n_train"] + plan["n_held_out"], start + plan["rows_at_once"])

    def n_parts(self) -> int:
        plan = self.plan()
        return math.ceil((plan["n_train"] + plan["n_held_out"]) / plan["rows_at_once"])

    def missing(self) -> list[int]:
        """Parts without a marker."""
        done = {int(name.removesuffix(".json")) for name in self.store.list(f"{self.folder}/parts")}
        return sorted(set(range(self.n_parts())) - done)

    def write(self, part: int, features: NDArray[np.float32]) -> None:
        """Store a part's features (rows, dim) and, last, its marker."""
        start, stop = self.rows(part)
        self._array("r+")[start:stop] = features
        self.store.settle()
        self.store.write_json(self._marker(part), {"rows": [start, stop], "sha256": _sha256(features)})

    def values_sha256(self, part: int) -> str:
        """SHA-256 of a part's features as they lie in the store.

        Raises
        ------
        StoreDamaged
            when they cannot be decoded.
        """
        start, stop = self.rows(part)
        try:
            return _sha256(np.asarray(self._array("r")[start:stop], dtype=np.float32))
        except Exception as error:
            raise StoreDamaged(f"{self.folder}/data.zarr, points ({start}, {stop}): {error}") from None

    def marker(self, part: int) -> dict[str, Any]:
        """Which rows a part holds, and the SHA-256 of its features."""
        return dict(self.store.read_json(self._marker(part)))

    def _marker(self, part: int) -> str:
        return f"{self.folder}/parts/{part:05d}.json"

    # -- reading -------------------------------------------------------------------------------------------------

    def train(self, n: int | None = None) -> NDArray[np.float32]:
        """Features of the first ``n`` points of the train split, or of all of it: (n, dim).

        Raises
        ------
        StoreDamaged
            when some of them were never computed.
        """
        return self._read(0, self.plan()["n_train"] if n is None else n)

    def held_out(self) -> NDArray[np.float32]:
        """Features of the held-out split, (n_held_out, dim)."""
        plan = self.plan()
        return self._read(plan["n_train"], plan["n_train"] + plan["n_held_out"])

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        size = self.plan()["rows_at_once"]
        if absent := [part for part in self.missing() if start < (part + 1) * size and part * size < stop]:
            raise StoreDamaged(f"{self.store.path(self.folder)}: parts {absent} of these features were never computed")
        return np.asarray(self._array("r")[start:stop], dtype=np.float32)

    def _array(self, mode: str) -> Any:
        require_laid(self.store, self.folder, ("zarr.json", "features/zarr.json"))
        where = self.store.zarr(f"{self.folder}/data.zarr", read_only=mode == "r")
        return zarr.open_group(where, mode=mode, zarr_format=3)["features"]  # type: ignore[arg-type]


def _sha256(features: NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(features).tobytes()).hexdigest()
