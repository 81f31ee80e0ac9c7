"""The stored states of all finalised runs as one table that DuckDB scans, reading only the chunks it needs.

DuckDB hands a scan of a pyarrow Dataset the columns and the filter of the query (joins and subqueries: see keys.py).
Both are resolved against the coordinates of each Zarr array before any state is read, and the rows are produced a few
megabytes at a time, as DuckDB asks for them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from kpe_core.catalog.predicate import NO, UNKNOWN, Predicate
from kpe_core.catalog.stored import StoredStates

READ_BYTES = 16 * 2**20
"""Of states read at once, before the filter; the first reads are smaller, for queries that stop early."""
BATCH_ROWS = 2**18
"""Rows handed to DuckDB at once."""
PAIRS_AT_ONCE = 2**18
"""(sample, state) pairs whose verdict is worked out at once."""

_RUN = pa.dictionary(pa.int32(), pa.string())
_KEYS = [("run", _RUN), ("sample", pa.int64()), ("state", pa.int64()), ("t", pa.float64()), ("t_bits", pa.int64())]
LONG = pa.schema([*_KEYS, ("coordinate", pa.int64()), ("x", pa.float32())])
"""One row per number. ``t_bits`` are the bits of t ≥ 0, which order as t does and can be compared without NaN."""
WIDE = pa.schema([*_KEYS, ("x", pa.list_(pa.float32()))])
"""One row per state."""


@dataclass(frozen=True)
class Piece:
    """What one read yields: some samples at some states, of which ``wanted`` (samples, states) are kept."""

    samples: NDArray[np.int64]
    states: NDArray[np.int64]
    wanted: NDArray[np.bool_]


class TrajectoryDataset(ds.Dataset):
    """LONG or WIDE rows of all stored states, as a pyarrow Dataset that DuckDB scans with its columns and filter."""

    def __init__(self, runs: Sequence[StoredStates], schema: pa.Schema) -> None:
        self._runs = runs
        self._declared = schema

    @property
    def schema(self) -> pa.Schema:
        return self._declared

    def scanner(
        self, columns: list[str] | None = None, filter: pc.Expression | None = None, **_: Any
    ) -> "TrajectoryScan":
        names = self._declared.names if columns is None else columns
        return TrajectoryScan(self._runs, self._declared, names, Predicate(filter, self._declared))


class TrajectoryScan:
    """One scan: the part of a pyarrow Scanner that DuckDB asks for."""

    def __init__(
        self, runs: Sequence[StoredStates], schema: pa.Schema, columns: list[str], predicate: Predicate
    ) -> None:
        self._runs = runs
        self._schema = schema
        self._columns = columns
        self._predicate = predicate
        self._wide = "coordinate" not in schema.names
        self._needs_x = "x" in columns or predicate.may_read("x")

    @property
    def projected_schema(self) -> pa.Schema:
        return pa.schema([self._schema.field(name) for name in self._columns])

    def to_reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(self.projected_schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        runs = pa.array([r.run for r in self._runs], pa.string()).dictionary_encode().cast(_RUN)
        for stored, verdict in zip(self._runs, self._predicate.verdicts(len(runs), {"run": runs}), strict=True):
            if verdict != NO:
                yield from self._batches_of(stored)

    def _batches_of(self, stored: StoredStates) -> Iterator[pa.RecordBatch]:
        coordinates, unsure = self._coordinates(stored)
        if not len(coordinates):
            return
        for piece, unsure_here in self._pieces(stored):
            values = stored.read(piece.samples, piece.states) if self._needs_x else None
            for batch in self._rows(stored, piece, coordinates, values):
                kept = batch.filter(self._predicate.expression) if unsure or unsure_here else batch
                if kept.num_rows:
                    yield kept.select(self._columns)

    # -- what to read --------------------------------------------------------------------------------------------

    def _coordinates(self, stored: StoredStates) -> tuple[NDArray[np.int64], bool]:
        """Coordinates that may be wanted, and whether that depends on more."""
        dim = stored.shape[2]
        if self._wide:
            return np.arange(dim), False
        known = {"run": _constant(stored.run, dim), "coordinate": pa.array(np.arange(dim))}
        verdicts = self._predicate.verdicts(dim, known)
        return np.flatnonzero(verdicts != NO), bool((verdicts == UNKNOWN).any())

    def _pieces(self, stored: StoredStates) -> Iterator[tuple[Piece, bool]]:
        """Reads that together hold every wanted state, each of whole chunks' worth of at most READ_BYTES.

        Every chunk touched holds at least one wanted state. The flag says that some rows are still to be filtered.
        """
        n, k, dim = stored.shape
        (rows, columns), size = stored.chunk, 4 * dim
        samples = self._axis(stored, n, {"sample": np.arange(n)})
        states = self._axis(stored, k, _times(stored, np.arange(k)))
        if not len(samples) or not len(states):
            return
        blocks = np.split(samples, np.flatnonzero(np.diff(samples // rows)) + 1)
        at_once = max(1, PAIRS_AT_ONCE // (rows * len(states)))
        waiting: list[tuple[NDArray[np.int64], NDArray[np.bool_]]] = []
        unsure, same, held, most = False, b"", 0, 0
        for start in range(0, len(blocks), at_once):
            for block, verdicts in self._pairs(stored, blocks[start : start + at_once], states):
                wanted = verdicts != NO
                chunks = np.unique(states[wanted.any(axis=0)] // columns)
                if not len(chunks):
                    continue
                if waiting and (chunks.tobytes() != same or held + len(chunks) * columns * rows * size > most):
                    yield from self._cut(stored, waiting, states, unsure)
                    waiting, unsure, held, most = [], False, 0, min(READ_BYTES, 2 * max(held, most))
                waiting.append((block, wanted))
                same, held = chunks.tobytes(), held + len(chunks) * columns * rows * size
                unsure |= bool((verdicts == UNKNOWN).any())
        if waiting:
            yield from self._cut(stored, waiting, states, unsure)

    def _axis(self, stored: StoredStates, size: int, known: dict[str, NDArray]) -> NDArray[np.int64]:
        """Indices along one axis that may be wanted, whatever the other columns are."""
        columns = {"run": _constant(stored.run, size)} | {name: pa.array(v) for name, v in known.items()}
        return np.flatnonzero(self._predicate.verdicts(size, columns) != NO)

    def _pairs(
        self, stored: StoredStates, blocks: list[NDArray[np.int64]], states: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int8]]]:
        """For each block of samples the verdicts over (samples, states)."""
        samples = np.concatenate(blocks)
        size = len(samples) * len(states)
        known = {"sample": np.repeat(samples, len(states))}
        known |= {name: np.tile(v, len(samples)) for name, v in _times(stored, states).items()}
        columns = {"run": _constant(stored.run, size)} | {name: pa.array(v) for name, v in known.items()}
        verdicts = self._predicate.verdicts(size, columns).reshape(len(samples), len(states))
        ends = np.cumsum([len(b) for b in blocks])
        yield from zip(blocks, np.split(verdicts, ends[:-1]), strict=True)

    def _cut(
        self,
        stored: StoredStates,
        waiting: list[tuple[NDArray[np.int64], NDArray[np.bool_]]],
        states: NDArray[np.int64],
        unsure: bool,
    ) -> Iterator[tuple[Piece, bool]]:
        """Blocks that need the same chunks of states, cut along the states where one read would be too large."""
        samples = np.concatenate([block for block, _ in waiting])
        wanted = np.concatenate([mask for _, mask in waiting])
        used = np.flatnonzero(wanted.any(axis=0))
        columns, size = stored.chunk[1], 4 * stored.shape[2]
        most = max(1, READ_BYTES // (len(samples) * columns * size))
        chunk = states[used] // columns
        first = np.flatnonzero(np.diff(chunk, prepend=-1))
        for part in np.split(used, first[most::most]):
            yield Piece(samples, states[part], wanted[:, part]), unsure

    # -- rows ----------------------------------------------------------------------------------------------------

    def _rows(
        self, stored: StoredStates, piece: Piece, coordinates: NDArray[np.int64], values: NDArray[np.float32] | None
    ) -> Iterator[pa.RecordBatch]:
        """Batches of at most about BATCH_ROWS numbers; columns that nobody asked for are NULL."""
        width = stored.shape[2] if self._wide else len(coordinates)
        needed = {n for n in self._schema.names if n in self._columns or self._predicate.may_read(n)}
        at, state = np.nonzero(piece.wanted)
        step = max(1, BATCH_ROWS // width)
        flat = values.reshape(-1, stored.shape[2]) if values is not None and piece.wanted.all() else None
        for start in range(0, len(at), step):
            i, k = at[start : start + step], state[start : start + step]
            block = flat[start : start + step] if flat is not None else None if values is None else values[i, k]
            if block is not None and width < block.shape[1]:
                block = block[:, coordinates]
            rows = len(i) if self._wide else len(i) * width
            columns = {
                name: self._column(name, stored, piece.samples[i], piece.states[k], coordinates, block)
                for name in needed
            }
            arrays = [columns[f.name] if f.name in needed else pa.nulls(rows, f.type) for f in self._schema]
            yield pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _column(
        self,
        name: str,
        stored: StoredStates,
        samples: NDArray[np.int64],
        states: NDArray[np.int64],
        coordinates: NDArray[np.int64],
        block: NDArray[np.float32] | None,
    ) -> pa.Array:
        """One column for pairs of sample and state, each repeated over the coordinates in the long form."""
        if name == "coordinate":
            return pa.array(np.tile(coordinates, len(samples)))
        if name == "x":
            assert block is not None
            return _lists(block) if self._wide else pa.array(block.ravel())
        repeat = 1 if self._wide else len(coordinates)
        if name == "run":
            return _constant(stored.run, len(samples) * repeat)
        keys = {"sample": samples} | _times(stored, states)
        return pa.array(np.repeat(keys[name], repeat))


def _constant(run: str, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([run]))


def _bits(t: NDArray[np.float64]) -> NDArray[np.int64]:
    return t.view(np.int64)


def _times(stored: StoredStates, states: NDArray[np.int64]) -> dict[str, NDArray]:
    t = stored.times[states]
    return {"state": states, "t": t, "t_bits": _bits(t)}


def _lists(block: NDArray[np.float32]) -> pa.ListArray:
    n, dim = block.shape
    return pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32) * dim), pa.array(block.ravel()))
