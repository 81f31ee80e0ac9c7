"""A store's Parquet files as the tables behind the views.

What holds for a whole file, its run's id above all, is told to the scan along with the file: a filter on it skips files
unread, and a view needs no join to know it. Texts, of which a run's files repeat a few, stay dictionaries from disk to
answer.
"""

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import FileType, FSSpecHandler, LocalFileSystem, PyFileSystem

from kpe_core.errors import StoreDamaged
from kpe_core.store.schema import RUN_TABLES, STORE_TABLES
from kpe_core.store.store import Store
from kpe_core.telemetry.table import telemetry_files


@dataclass(frozen=True)
class TableFile:
    """One file of a table, by its path in the store; ``constants``: columns that have one value in all its rows."""

    path: str
    constants: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredTable:
    """A table of ``schema``: the columns of its files, then those that only ``TableFile.constants`` knows."""

    schema: pa.Schema
    files: list[TableFile]


def stored_tables(store: Store, manifests: list[dict[str, Any]]) -> dict[str, StoredTable]:
    """Every table of the finished runs, and of the store itself, by name."""
    tables = {}
    for name, schema in RUN_TABLES.items():
        files = [
            TableFile(f"runs/{m['run_id']}/tables/{name}.parquet", {"run": m["run_id"]} | _told_with(name, m))
            for m in manifests
            if name in m["tables"]
        ]
        tables[name] = StoredTable(schema, files)
    threshold = pa.field("memorized_below", pa.float64())
    tables["samples"] = StoredTable(tables["samples"].schema.append(threshold), tables["samples"].files)
    comparisons = [f"comparisons/{name}" for name in store.list("comparisons")]
    trials = [f"tunings/{tuning}/trials.parquet" for tuning in store.list("tunings")]
    own = {
        "comparisons": comparisons,
        "trials": [path for path in trials if store.exists(path)],
        "telemetry": telemetry_files(store),
    }
    return tables | {
        name: StoredTable(STORE_TABLES[name], [TableFile(p) for p in paths]) for name, paths in own.items()
    }


def _told_with(name: str, manifest: dict[str, Any]) -> dict[str, Any]:
    return {"memorized_below": manifest["run"]["measure"]["memorized_below"]} if name == "samples" else {}


def scanned(store: Store, table: StoredTable) -> Any:
    """The table as Arrow and DuckDB scan it, read when asked.

    Raises
    ------
    StoreDamaged
        when a file is not there.
    """
    if not table.files:
        return table.schema.empty_table()
    texts = [f.name for f in table.schema if f.type == pa.string()]
    encoded = [f.with_type(pa.dictionary(pa.int32(), f.type)) if f.name in texts else f for f in table.schema]
    form = ds.ParquetFileFormat(
        read_options=ds.ParquetReadOptions(dictionary_columns=texts),
        default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True),
    )
    # On disk Arrow's own: through Python, its threads and DuckDB's may wait for each other and the interpreter for ever.
    fs = LocalFileSystem() if store.is_local else PyFileSystem(FSSpecHandler(store.fs))
    paths = [store.path(file.path) for file in table.files]
    for info in fs.get_file_info(paths):
        if info.type is not FileType.File:
            raise StoreDamaged(f"{info.path} is missing, though its run is finished; `kpe verify` says what else is")
    fragments = [
        form.make_fragment(path, fs, partition_expression=_all_hold(file.constants))
        for path, file in zip(paths, table.files, strict=True)
    ]
    return ds.FileSystemDataset(fragments, pa.schema(encoded), form, fs)


def _all_hold(constants: dict[str, Any]) -> ds.Expression:
    holds = ds.scalar(True)
    for name, value in constants.items():
        holds = holds & (ds.field(name) == value)
    return holds
