"""A DuckDB file of views over a store's tables, for any DuckDB client: no Python, no data copied.

The views name the Parquet files where they lie, so the file is a snapshot of which runs are finished. Trajectories are
not in it: no DuckDB client reads Zarr; the table ``kpe_catalog`` says so.
"""

import contextlib
import os
import uuid
from pathlib import Path
from typing import Any

import duckdb

from kpe_core.catalog.catalog import VIEWS, memberships
from kpe_core.catalog.described import SQL, comments
from kpe_core.catalog.tables import StoredTable, stored_tables
from kpe_core.errors import UserError
from kpe_core.identity import FORMAT_VERSION, canonical_json
from kpe_core.stages.manifest import manifests
from kpe_core.store.store import Store

LAZY = ("trajectory", "states")
"""Views that only this package can serve."""

_NOTE = "no trajectories here: `kpe sql` has the views trajectory and states; elsewhere open runs.trajectories as Zarr"


def write_catalog(store: Store, target: Path) -> int:
    """Write the file, or write such a file again; returns the number of runs.

    Raises
    ------
    UserError
        when something else lies there, or nothing can be written there.
    """
    if os.path.lexists(target) and not _is_catalog(target):
        raise UserError(f"{target} is there and is no catalog that `kpe catalog write` wrote; choose another name")
    partial = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
    try:
        with duckdb.connect(str(partial)) as con:
            runs = _fill(con, store)
        os.replace(partial, target)
    except (duckdb.Error, OSError) as error:
        raise UserError(f"cannot write {target}: {str(error).splitlines()[0]}") from None
    finally:
        for leftover in (partial, Path(f"{partial}.wal")):
            with contextlib.suppress(OSError):
                leftover.unlink(missing_ok=True)
    return runs


def _is_catalog(path: Path) -> bool:
    try:
        with duckdb.connect(str(path), read_only=True) as con:
            return bool(con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'kpe_catalog'").fetchall())
    except (duckdb.Error, OSError):
        return False


def _fill(con: duckdb.DuckDBPyConnection, store: Store) -> int:
    found = manifests(store)
    con.execute("CREATE TABLE kpe_catalog (store VARCHAR, format BIGINT, note VARCHAR)")
    con.execute("INSERT INTO kpe_catalog VALUES ($1, $2, $3)", [store.url, FORMAT_VERSION, _NOTE])
    con.execute("CREATE TABLE manifests (run VARCHAR, manifest JSON)")
    if found:
        con.executemany("INSERT INTO manifests VALUES ($1, $2)", [[m["run_id"], canonical_json(m)] for m in found])
    con.register("given", memberships(store, found))
    con.execute("CREATE TABLE memberships AS SELECT * FROM given")
    con.unregister("given")
    for name, table in stored_tables(store, found).items():
        _view(con, store, f"parquet_{name}", table)
    views = [view for view in VIEWS if view not in LAZY]
    for script in ("macros.sql", *(f"views/{view}.sql" for view in views)):
        con.execute((SQL / script).read_text(encoding="utf-8"))
    con.execute(comments(views))
    return len(found)


def _view(con: duckdb.DuckDBPyConnection, store: Store, name: str, table: StoredTable) -> None:
    if not table.files:
        con.register("given", table.schema.empty_table())
        con.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
        con.unregister("given")
        return
    alike: dict[str, list[str]] = {}  # addresses of the files of which the same is known, by the columns to select
    for file in table.files:
        told = {column: value for column, value in file.constants.items() if column != "run"}
        columns = ", ".join(f"{told[f.name]} AS {f.name}" if f.name in told else f'"{f.name}"' for f in table.schema)
        alike.setdefault(columns, []).append(_quoted(store.address(file.path)))
    parts = [f"SELECT {columns} FROM read_parquet([{', '.join(files)}])" for columns, files in alike.items()]
    con.execute(f"CREATE VIEW {name} AS {' UNION ALL '.join(parts)}")


def _quoted(text: Any) -> str:
    return "'" + str(text).replace("'", "''") + "'"
