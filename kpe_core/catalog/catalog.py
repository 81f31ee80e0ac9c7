"""SQL over every finalised run of a store: an in-memory DuckDB with the views of ``sql/views/``.

The tables are scanned as Arrow datasets, and the trajectories as one that reads Zarr (trajectory.py), so DuckDB itself
needs no file access, and has none: user SQL can read the views and nothing else (guard.py).

No answer comes from a damaged table. What is small is checked whole when it is read (manifests, metadata); of a Parquet
file the footer, when a statement first names its table, and every page that is scanned; of trajectories every chunk that
is read. So a question costs no more reading than its answer.
"""

import contextlib
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa

from kpe_core.catalog.described import SQL, comments
from kpe_core.catalog.guard import Guard, first_lines
from kpe_core.catalog.io import Io, IoMeter
from kpe_core.catalog.keys import KeyResolver
from kpe_core.catalog.stored import StoredStates
from kpe_core.catalog.tables import scanned, stored_tables
from kpe_core.catalog.trajectory import LONG, WIDE, TrajectoryDataset
from kpe_core.errors import UserError
from kpe_core.identity import canonical_json
from kpe_core.stages.manifest import manifests
from kpe_core.store.store import Store

VIEWS = (
    "runs", "study_runs", "samples", "densities", "semantics", "steps", "features", "scores", "theory", "checks",
    "comparisons", "trials", "telemetry", "trajectory", "states",
)  # fmt: skip
"""In the order of their dependence."""

CHECKED_AT_ONCE = 8
"""Footers: on an object store, reading one mostly waits."""
NUMERIC = ("BIGINT", "INTEGER", "DOUBLE", "FLOAT", "BOOLEAN")
SPILL_LIMIT = "20GB"
"""Of what DuckDB cannot hold in memory and puts into a private temporary folder."""


class Catalog:
    """A read-only session; use as a context manager, since DuckDB wants its connections closed.

    ``allow_read`` names one folder below which user SQL may read files; ``memory`` bounds DuckDB's own, as "2GB".
    """

    def __init__(self, store: Store, allow_read: str | None = None, memory: str | None = None) -> None:
        self.store = store
        self._spill = tempfile.mkdtemp(prefix="kpe-sql-")
        try:
            self._con = self._connected(memory)
        except duckdb.Error as error:
            shutil.rmtree(self._spill, ignore_errors=True)
            raise UserError(f"DuckDB cannot start with memory {memory!r}: {first_lines(error)}") from None
        try:
            self._meter = IoMeter()
            self._unchecked: dict[str, list[str]] = {}
            self._states = self._register()
            for script in ("macros.sql", *(f"views/{view}.sql" for view in VIEWS)):
                self._con.execute((SQL / script).read_text(encoding="utf-8"))
            self._con.execute(comments(VIEWS))
            self._con.execute("SET enable_progress_bar = false")
            if allow_read is not None:
                self._con.execute("SET allowed_directories = $1", [[str(Path(allow_read).resolve())]])
            self._con.execute("SET enable_external_access = false")
            self._con.execute("SET lock_configuration = true")
        except BaseException:
            self._close()
            raise
        self._guard = Guard(self._con, VIEWS, files=allow_read is not None)

    def __enter__(self) -> "Catalog":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        self._con.close()
        shutil.rmtree(self._spill, ignore_errors=True)

    def _connected(self, memory: str | None) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(
            ":memory:",
            config={
                "python_enable_replacements": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "temp_directory": self._spill,
                "max_temp_directory_size": SPILL_LIMIT,
                **({"memory_limit": memory} if memory is not None else {}),
            },
        )

    # -- asking --------------------------------------------------------------------------------------------------

    def ask(self, sql: str) -> pa.Table:
        """The answer to a user's one statement, which may only read.

        Raises
        ------
        UserError
            for SQL that does not parse or run, or that would do anything but read the views.
        StoreDamaged
            when what it reads is not there or cannot be decoded.
        """
        with self.stream(sql) as reader:
            return reader.read_all()

    @contextmanager
    def stream(self, sql: str, seconds: float | None = None) -> Iterator[pa.RecordBatchReader]:
        """The same piece by piece, for answers larger than memory; interrupted after ``seconds``. One at a time."""
        self._meter.reset()
        if re.fullmatch(r"\s*show\s+(all\s+)?tables\s*;?\s*", sql, re.IGNORECASE):
            yield pa.table({"name": pa.array(sorted(VIEWS))}).to_reader()
            return
        late = threading.Event()

        def stop() -> None:
            late.set()
            self.interrupt()

        timer = threading.Timer(seconds, stop) if seconds is not None else None
        if timer is not None:
            timer.daemon = True
            timer.start()
        self._require_footers(sql)
        keys = KeyResolver(self._con)
        try:
            with self._translated():
                yield self._con.sql(keys.resolve(sql, self._guard.check(sql))).to_arrow_reader(2**16)
        except UserError as error:
            raise UserError(f"SQL: stopped after {seconds:g} seconds") if late.is_set() else error from None
        finally:
            keys.close()
            if timer is not None:
                timer.cancel()

    def interrupt(self) -> None:
        """Stop the running statement, if one still runs; callable from any thread."""
        with contextlib.suppress(duckdb.ConnectionException):
            self._con.interrupt()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """DuckDB's and Arrow's errors as sentences."""
        try:
            yield
        except BrokenPipeError:
            raise
        except (duckdb.Error, pa.ArrowException, OSError, RuntimeError) as error:
            raise UserError(f"SQL: {first_lines(error)}") from None

    def io(self) -> Io:
        """What the last statement read from the trajectories, and what there is."""
        chunks, size = sum(s.n_chunks for s in self._states), sum(s.stored_bytes for s in self._states)
        return Io(self._meter.chunks, self._meter.bytes, chunks, size)

    def query(self, sql: str, **parameters: Any) -> pa.Table:
        """The answer to the project's own SQL with named parameters."""
        self._require_footers(sql)
        return self._con.sql(sql, params=parameters).to_arrow_table()

    def numeric_columns(self, view: str) -> list[str]:
        """The view's columns that hold numbers, or truth values, which count as 0 and 1."""
        rows = self.query(f"DESCRIBE {view}").to_pylist()
        return [row["column_name"] for row in rows if row["column_type"] in NUMERIC]

    def _require_footers(self, sql: str) -> None:
        """Check the tables of the views that occur in a statement, those checked before left out."""
        paths = [path for table in tables_behind(sql) for path in self._unchecked.pop(table, [])]
        with ThreadPoolExecutor(max_workers=CHECKED_AT_ONCE) as pool:
            list(pool.map(self.store.require_footer, paths))

    # -- what there is to ask ------------------------------------------------------------------------------------

    def _register(self) -> list[StoredStates]:
        found = manifests(self.store)
        rows = [{"run": m["run_id"], "manifest": canonical_json(m)} for m in found]
        schema = pa.schema([("run", pa.string()), ("manifest", pa.string())])
        self._con.register("manifest_text", pa.Table.from_pylist(rows, schema=schema))
        self._con.execute("CREATE VIEW manifests AS SELECT run, manifest::JSON AS manifest FROM manifest_text")
        self._con.register("memberships", memberships(self.store, found))
        for name, table in stored_tables(self.store, found).items():
            self._con.register(f"parquet_{name}", scanned(self.store, table))
            self._unchecked[name] = [file.path for file in table.files]
        states = [
            StoredStates(self.store, m["run_id"], m["trajectories"], self._meter)
            for m in found
            if m["run"]["states"]["keep"] != "none"
        ]
        self._con.register("zarr_trajectory", TrajectoryDataset(states, LONG))
        self._con.register("zarr_states", TrajectoryDataset(states, WIDE))
        return states


def tables_behind(sql: str) -> set[str]:
    """Names of all Parquet tables a statement may read: those of every view whose name is a word of it."""
    words, found = _words(sql), set[str]()
    for view in reversed(VIEWS):  # a view reads only those before it
        if view in words:
            words |= _words((SQL / f"views/{view}.sql").read_text(encoding="utf-8"))
    for word in words:
        if word.startswith("parquet_"):
            found.add(word.removeprefix("parquet_"))
    return found


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def memberships(store: Store, manifests: list[dict[str, Any]]) -> pa.Table:
    """Which finished runs each study is made of."""
    schema = pa.schema([
        ("study", pa.string()), ("position", pa.int32()), ("run", pa.string()),
        ("experiment", pa.string()), ("label", pa.string()),
    ])  # fmt: skip
    finished = {m["run_id"] for m in manifests}
    rows: list[dict[str, Any]] = []
    for study in store.list("studies"):
        if store.exists(f"studies/{study}/runs.json"):
            rows += [row for row in store.read_json(f"studies/{study}/runs.json") if row["run"] in finished]
    return pa.Table.from_pylist(rows, schema=schema)
