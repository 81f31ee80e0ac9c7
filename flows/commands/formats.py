"""Answers as a table for people, or as CSV, JSON, Parquet or Markdown for others; piece by piece, whatever their size."""

import contextlib
import json
import math
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, get_args

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from flows.commands.render import MOST_ROWS, cell, console, grid
from kpe_core.errors import UserError

Format = Literal["table", "csv", "json", "parquet", "markdown"]
FORMATS: tuple[str, ...] = get_args(Format)
_ENDINGS = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".md": "markdown"}


def chosen_format(wanted: str | None, output: Path | None) -> str:
    """The format asked for, else the one the file's name ends with, else a table.

    Raises
    ------
    UserError
        for a format there is none of.
    """
    found = wanted or (_ENDINGS.get(output.suffix) if output else None) or "table"
    if found not in FORMATS:
        raise UserError(f"no format {found!r}; there are {', '.join(FORMATS)}")
    return found


def emit(reader: pa.RecordBatchReader, wanted: str, output: Path | None) -> None:
    """Write the answer to ``output``, which is replaced whole or not at all, or to the standard output."""
    if output is None:
        if wanted == "parquet" and sys.stdout.isatty():
            raise UserError("Parquet is not for the terminal; add --output FILE")
        _write(reader, wanted, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    with _replacing(output) as sink:
        _write(reader, wanted, sink)


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[BinaryIO]:
    partial = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
    try:
        sink = open(partial, "wb")  # noqa: SIM115
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}") from None
    try:
        with sink:
            yield sink
        os.replace(partial, target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


def _write(reader: pa.RecordBatchReader, wanted: str, sink: BinaryIO) -> None:
    match wanted:
        case "csv":
            _csv(reader, sink)
        case "json":
            _json(reader, sink)
        case "parquet":
            with pq.ParquetWriter(sink, reader.schema, compression="zstd") as writer:
                for batch in reader:
                    writer.write_batch(batch)
        case "markdown":
            _markdown(reader, sink)
        case _:
            _table(reader, sink)


def _csv(reader: pa.RecordBatchReader, sink: BinaryIO) -> None:
    """Nested columns as JSON, since CSV has none."""
    nested = [i for i, f in enumerate(reader.schema) if pa.types.is_nested(f.type)]
    schema = reader.schema
    for i in nested:
        schema = schema.set(i, pa.field(schema.field(i).name, pa.string()))
    with pyarrow.csv.CSVWriter(sink, schema) as writer:
        for batch in reader:
            columns = list(batch.columns)
            for i in nested:
                columns[i] = pa.array([None if v is None else _dumps(v) for v in columns[i].to_pylist()], pa.string())
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _json(reader: pa.RecordBatchReader, sink: BinaryIO) -> None:
    """One array of objects, one a line."""
    sink.write(b"[")
    comma = b"\n"
    for batch in reader:
        for row in batch.to_pylist():
            sink.write(comma + _dumps(row).encode())
            comma = b",\n"
    sink.write(b"\n]\n")


def _dumps(value: object) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, default=str)


def _plain(value: object) -> object:
    """JSON knows no NaN and no infinity: null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list) else value


def _markdown(reader: pa.RecordBatchReader, sink: BinaryIO) -> None:
    def line(cells: list[str]) -> bytes:
        return ("| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in cells) + " |\n").encode()

    sink.write(line(reader.schema.names))
    sink.write(line(["---:" if _is_number(f.type) else "---" for f in reader.schema]))
    for batch in reader:
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            sink.write(line([cell(value) for value in row]))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def _table(reader: pa.RecordBatchReader, sink: BinaryIO) -> None:
    """The first rows, as wide as the terminal."""
    batches: list[pa.RecordBatch] = []
    while sum(b.num_rows for b in batches) <= MOST_ROWS:
        try:
            batches.append(reader.read_next_batch())
        except StopIteration:
            break
    table = pa.Table.from_batches(batches, schema=reader.schema)
    out = console()
    with out.capture() as text:
        out.print(grid(table.slice(0, MOST_ROWS)))
        if table.num_rows > MOST_ROWS:
            out.print(f"the first {MOST_ROWS} rows; --format csv prints all")
    sink.write(text.get().encode())
