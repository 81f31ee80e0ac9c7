"""Trajectories on disk: one Zarr v3 group, readable by plain ``xarray.open_zarr``.

Metadata and coordinates are written once, before any sampling. After that every object belongs to one batch of samples,
every batch to one shard, and every shard to one task, so no two writers touch one object. A shard exists when its marker
does; the marker is written last.
"""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from kpe_core.errors import StoreDamaged
from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.shaping import gain
from kpe_core.store.laid import lay_out, require_laid
from kpe_core.store.store import Store
from kpe_core.study.runs import Cell, Run

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore

OBJECT_BYTES = 32 * 2**20
"""Of states buffered before they are written: with the batch, this sets the memory of sampling."""
CHUNK_BYTES = 512 * 2**10
"""Of one chunk inside an object: small enough for one trajectory, large enough for one time."""

PER_SAMPLE: dict[str, tuple[str, str]] = {
    "kpe": ("kinetic path energy ½∫‖ηv‖²dt", "coordinate²/time"),
    "kpe_raw": ("½∫‖v‖²dt", "coordinate²/time"),
    "kpe_early": ("kpe before the energy split", "coordinate²/time"),
    "kpe_late": ("kpe from the energy split on", "coordinate²/time"),
    "kpe_left": ("½∫‖ηv‖²dt by the left Riemann sum over the grid", "coordinate²/time"),
    "kpe_trapezoid": ("the same by the trapezoid rule", "coordinate²/time"),
    "kpe_simpson": ("the same by Simpson's rule", "coordinate²/time"),
    "kpe_error": ("estimated quadrature error of kpe", "coordinate²/time"),
    "peak_power": ("largest ‖ηv‖²", "coordinate²/time²"),
    "peak_t": ("time of the largest power", "time"),
    "path_length": ("Σ‖Δx‖", "coordinate"),
    "displacement": ("‖x(1) − x(0)‖", "coordinate"),
    "straightness": ("displacement² / (2 kpe): 1 for a straight path at constant speed", ""),
}
PER_STEP: dict[str, tuple[str, str]] = {
    "power": ("‖v(x, t)‖² at the step's start", "coordinate²/time²"),
    "energy": ("½∫‖ηv‖²dt within the step, by the solver's quadrature", "coordinate²/time"),
}
PER_EXACT_STEP: dict[str, tuple[str, str]] = {
    "posterior_max": ("largest posterior weight at the step's start", ""),
    "posterior_entropy": ("entropy of the posterior weights at the step's start", "nat"),
    "log_density": ("log p_t(x) of the bridge at the step's start", "nat"),
}
"""What an exact field tells beside."""


@dataclass(frozen=True)
class Plan:
    """How a run's samples are cut into shards. Fixed when its trajectories are created."""

    n_samples: int
    shard_size: int

    @property
    def n_shards(self) -> int:
        return math.ceil(self.n_samples / self.shard_size)

    def rows(self, shard: int) -> tuple[int, int]:
        return shard * self.shard_size, min(self.n_samples, (shard + 1) * self.shard_size)


def kept_states(run: Cell) -> NDArray[np.int64]:
    """Indices into the time grid of the states that are stored."""
    last = run.steps
    match run.states.keep:
        case "all":
            return np.arange(last + 1)
        case "every":
            return np.unique(np.append(np.arange(0, last + 1, run.states.every), last))
        case "endpoints":
            return np.array([0, last])
        case "none":
            return np.array([], dtype=np.int64)


def shard_size_for(run: Cell, wanted: int) -> int:
    """The whole number of batches nearest to ``wanted`` samples, at least one."""
    return run.batch * max(1, round(wanted / run.batch))


class Trajectories:
    """The trajectories of one run in a store."""

    def __init__(self, store: Store, trajectories_id: str) -> None:
        self.store = store
        self.folder = f"trajectories/{trajectories_id}"

    # -- creation ------------------------------------------------------------------------------------------------

    def create(
        self,
        run: Run,
        shape: tuple[int, ...],
        labels: NDArray[np.int64],
        exact: bool,
        shard_size: int,
        origin: dict[str, Any] | None = None,
    ) -> Plan:
        """Write metadata and coordinates unless they are there; the plan file, written last, says they are whole.

        An existing plan wins over ``shard_size``: half-finished trajectories go on as they were begun. On object stores,
        where there is no lock, another process may be as far, or have sampled already: what it wrote stays. ``origin``
        is the provenance to write, where it is not this process's.
        """
        with self.store.lock(self.folder.replace("/", "-"), wait=True):
            # Listed before the plan is looked for: those of a process that samples now have a plan. Without one they
            # were left by a removal or a copy that was killed, and may count other shards.
            left_over = self.store.list(f"{self.folder}/shards")
            if not self.exists():
                for name in left_over:
                    self.store.remove(f"{self.folder}/shards/{name}")
                plan = {
                    "n_samples": run.n_samples,
                    "shard_size": shard_size_for(run, shard_size),
                    "spec": run.sampling_identity(),
                }
                lay_out(
                    self.store,
                    self.folder,
                    lambda target, origin: _group(target, run, shape, labels, exact, origin),
                    plan,
                    origin,
                )
        return self.plan()

    # -- reading -------------------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        plan = self.store.read_json(f"{self.folder}/plan.json")
        return Plan(plan["n_samples"], plan["shard_size"])

    def exists(self) -> bool:
        return self.store.exists(f"{self.folder}/plan.json")

    def group(self, mode: str = "r") -> zarr.Group:
        """The opened group, its metadata checked.

        Raises
        ------
        StoreDamaged
            when they are not those that were written.
        """
        require_laid(self.store, self.folder, ("zarr.json",))
        where = self.store.zarr(f"{self.folder}/data.zarr", read_only=mode == "r")
        # The format named, no request asks for files of an older one.
        return zarr.open_group(where, mode=mode, zarr_format=3)  # type: ignore[arg-type]

    def endpoints(self, which: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        """x(1) of some samples, flat, (n, D) float32, in prepared coordinates.

        Raises
        ------
        StoreDamaged
            when a chunk of them cannot be decoded.
        """
        array: Any = self.group()["x1"]
        try:
            found = np.asarray(array.oindex[which], dtype=np.float32)
        except (ValueError, RuntimeError) as error:  # of checksums and of codecs
            raise self.damaged(f"x1 cannot be read: {error}") from None
        return found.reshape(len(found), -1)

    def damaged(self, what: str) -> StoreDamaged:
        """The error to raise, which says what to do."""
        return StoreDamaged(
            f"{self.store.path(self.folder)}: {what}; `kpe verify` says what else is damaged, `kpe verify --repair` "
            "makes it again"
        )

    def committed(self) -> set[int]:
        """Shards whose marker is there."""
        return {int(n.removesuffix(".json")) for n in self.store.list(f"{self.folder}/shards") if n.endswith(".json")}

    def missing(self) -> list[int]:
        return sorted(set(range(self.plan().n_shards)) - self.committed())

    # -- committing ----------------------------------------------------------------------------------------------

    def marker(self, shard: int) -> dict[str, Any]:
        return dict(self.store.read_json(f"{self.folder}/shards/{shard:05d}.json"))

    def commit(self, shard: int, marker: dict[str, Any]) -> None:
        self.store.settle()
        self.store.write_json(f"{self.folder}/shards/{shard:05d}.json", marker)


def is_sampled(name: str, array: zarr.Array) -> bool:
    """Whether the sampler writes an array, rather than whoever lays it out."""
    dims = array.metadata.dimension_names  # type: ignore[union-attr]
    return bool(dims and dims[0] == "sample" and name not in ("sample", "label"))


def regions(array: zarr.Array, rows: tuple[int, int], batch: int) -> Iterator[tuple[slice, ...]]:
    """The pieces of ``array`` in the order the sampler writes them: batch by batch, states block by block."""
    for start in range(rows[0], rows[1], batch):
        here = slice(start, min(rows[1], start + batch))
        if array.shards is None:
            yield (here,)
        else:
            block = array.shards[1]
            for state in range(0, array.shape[1], block):
                yield here, slice(state, min(array.shape[1], state + block))


def _group(
    target: "ZarrStore",
    run: Run,
    shape: tuple[int, ...],
    labels: NDArray[np.int64],
    exact: bool,
    origin: dict[str, Any],
) -> None:
    """Metadata and coordinates of a run's trajectories."""
    times = time_grid(run.grid, run.steps)
    eta = gain(run.shaping, times)
    states = kept_states(run)
    n, b = run.n_samples, min(run.batch, run.n_samples)
    group = zarr.create_group(target, attributes=_attributes(run, origin))
    space = ("channel", "row", "column")[-len(shape) :] if len(shape) > 1 else ("coordinate",)

    def coordinate(name: str, dim: str, values: NDArray, about: str, units: str = "") -> None:
        array = group.create_array(
            name, shape=values.shape, dtype=values.dtype, dimension_names=(dim,), compressors=COMPRESSORS,
            attributes=_about(about, units),
        )  # fmt: skip
        array[:] = values

    def variable(name: str, dims: tuple[str, ...], size: tuple[int, ...], about: str, units: str = "") -> None:
        group.create_array(
            name, shape=size, chunks=(b, *size[1:]), dtype="float32" if name == "x1" else "float64",
            dimension_names=dims, compressors=COMPRESSORS, fill_value=np.nan, attributes=_about(about, units),
        )  # fmt: skip

    coordinate("sample", "sample", np.arange(n), "sample index; its initial noise depends on (seed, index) alone")
    coordinate("label", "sample", labels, "class asked for; -1 where unconditional")
    coordinate("step", "step", np.arange(run.steps), "solver step")
    coordinate("t_step", "step", times[:-1], "time at the step's start; 0 noise, 1 data", "time")
    coordinate("dt", "step", np.diff(times), "the step's duration", "time")
    coordinate("eta", "step", eta[:-1], "shaping gain η(t)")
    for name, (about, units) in (PER_STEP | (PER_EXACT_STEP if exact else {})).items():
        variable(name, ("sample", "step"), (n, run.steps), about, units)
    for name, (about, units) in PER_SAMPLE.items():
        variable(name, ("sample",), (n,), about, units)
    variable("x1", ("sample", *space), (n, *shape), "endpoint x(1), prepared coordinates", "coordinate")
    if len(states):
        coordinate("t", "state", times[states], "time of the state; 0 noise, 1 data", "time")
        coordinate("grid_index", "state", states, "index of the state in the solver's time grid")
        block, chunk = _state_blocks(b, len(states), int(np.prod(shape)))
        group.create_array(
            "x", shape=(n, len(states), *shape), dtype="float32", shards=(b, block, *shape), chunks=(*chunk, *shape),
            dimension_names=("sample", "state", *space), compressors=COMPRESSORS, fill_value=np.nan,
            attributes=_about("trajectory x(t), prepared coordinates", "coordinate"),
        )  # fmt: skip
    consolidate(group)


def consolidate(group: zarr.Group) -> None:
    """Put all arrays' metadata into the group's own, so that opening it is one request."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # consolidated metadata is not yet in the v3 specification
        zarr.consolidate_metadata(group.store)


COMPRESSORS = (BloscCodec(cname="lz4", shuffle="bitshuffle"), Crc32cCodec())
"""With a checksum of every chunk, which whoever reads it verifies. A sharded object's index has its own."""


def _state_blocks(batch: int, n_states: int, dim: int) -> tuple[int, tuple[int, int]]:
    """States per object, and (samples, states) per chunk inside it."""
    size = 4 * dim
    chunk_states = max(1, min(n_states, CHUNK_BYTES // 8 // size)) if size <= CHUNK_BYTES // 64 else min(n_states, 8)
    most = max(1, CHUNK_BYTES // (chunk_states * size))
    chunk_samples = max(d for d in range(1, batch + 1) if batch % d == 0 and d <= most)
    chunks = max(1, min(math.ceil(n_states / chunk_states), OBJECT_BYTES // (batch * chunk_states * size)))
    return chunks * chunk_states, (chunk_samples, chunk_states)


def _about(about: str, units: str) -> dict[str, Any]:
    return {"long_name": about, **({"units": units} if units else {})}


def _attributes(run: Run, origin: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": "Flow-matching trajectories with their kinetic path energy",
        "trajectories": run.trajectories_id,
        "coordinates": "label t_step dt eta" + (" t grid_index" if len(kept_states(run)) else ""),
        "spec": run.sampling_identity(),
        "provenance": origin,
        "references": "Li et al., A Kinetic Energy Perspective of Flow Matching, arXiv 2602.07928",
        "conventions": "t = 0 noise, t = 1 data; NaN where not yet sampled",
    }
