"""Features of real data in a store: one Zarr v3 group for each (data, extractor, weights), computed once for every study.

Laid out like trajectories: metadata first, then parts that each own one chunk, each with a marker written last.
"""

import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray

from kpe_core.errors import StoreDamaged
from kpe_core.store.provenance import provenance
from kpe_core.store.store import Store, as_json

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore


class FeatureSet:
    """The features of a data set's train split, then of its held-out split: ``features`` (point, feature) float32."""

    def __init__(self, store: Store, features_id: str) -> None:
        self.store = store
        self.folder = f"features/{features_id}"

    def create(self, n_train: int, n_held_out: int, dim: int, rows_at_once: int, about: dict[str, Any]) -> None:
        """Write metadata unless it is there; the plan file, written last, says it is whole."""
        with self.store.lock(self.folder.replace("/", "-"), wait=True):
            left_over = self.store.list(f"{self.folder}/parts")  # as ``Trajectories.create``
            if self.exists():
                return
            for name in left_over:
                self.store.remove(f"{self.folder}/parts/{name}")
            n = n_train + n_held_out
            attributes = {"title": "Features of real data", **about, "n_train": n_train, "provenance": provenance()}

            def lay_out(target: "ZarrStore") -> None:
                group = zarr.create_group(target, attributes=attributes)
                group.create_array(
                    "features", shape=(n, dim), chunks=(min(n, rows_at_once), dim), dtype="float32", fill_value=np.nan,
                    dimension_names=("point", "feature"), attributes={"long_name": "train split, then held out"},
                )  # fmt: skip

            self.store.write_group(f"{self.folder}/data.zarr", lay_out)
            plan = {"n_train": n_train, "n_held_out": n_held_out, "dim": dim, "rows_at_once": rows_at_once}
            self.store.write_first(f"{self.folder}/plan.json", as_json(plan))

    def exists(self) -> bool:
        return self.store.exists(f"{self.folder}/plan.json")

    def plan(self) -> dict[str, int]:
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

    def is_as_written(self, part: int) -> bool:
        """Whether a part's features are those its marker names.

        Raises
        ------
        StoreDamaged
            when they cannot be decoded.
        """
        start, stop = self.rows(part)
        try:
            found = np.asarray(self._array("r")[start:stop], dtype=np.float32)
        except Exception as error:
            raise StoreDamaged(f"{self.folder}/data.zarr, points ({start}, {stop}): {error}") from None
        return bool(_sha256(found) == self.store.read_json(self._marker(part))["sha256"])

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
        where = self.store.zarr(f"{self.folder}/data.zarr", read_only=mode == "r")
        return zarr.open_group(where, mode=mode)["features"]  # type: ignore[arg-type]


def _sha256(features: NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(features).tobytes()).hexdigest()
