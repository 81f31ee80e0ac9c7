"""How the commands print."""

import sys

import pyarrow as pa
import pyarrow.csv
from rich import box
from rich.console import Console
from rich.table import Table

MOST_ROWS = 50
MOST_ENTRIES = 8


def show(table: pa.Table, csv: bool, at_most: int = MOST_ROWS) -> None:
    """As CSV, whole; or as a table of at most so many rows."""
    if csv:
        pa.csv.write_csv(table, sys.stdout.buffer)
        return
    out = console()
    out.print(grid(table.slice(0, at_most)))
    if table.num_rows > at_most:
        out.print(f"{at_most} of {table.num_rows:,} rows; --csv prints all")


def grid(table: pa.Table) -> Table:
    """All rows, numbers to the right."""
    found = Table(box=box.SIMPLE_HEAD)
    for field in table.schema:
        numeric = pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
        found.add_column(field.name, justify="right" if numeric else "left", overflow="fold")
    for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
        found.add_row(*(cell(value) for value in row))
    return found


def cell(value: object) -> str:
    """A value as people read it; of a long list the first entries."""
    if value is None:
        return "–"
    if isinstance(value, list):
        shown = ", ".join(cell(v) for v in value[:MOST_ENTRIES])
        return f"[{shown}, … {len(value):,} in all]" if len(value) > MOST_ENTRIES else f"[{shown}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def console() -> Console:
    """As wide as the terminal, and wide enough for a file."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 200)


def human_bytes(n: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"


def human_time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
