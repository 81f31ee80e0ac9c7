"""What the SQL files say of views, columns and macros, and the same as DuckDB's own comments.

A view's row is told at the top of its file, a column by the comment beside it or, where it is taken over from a table, by
the table's schema. A macro is told by the comment above it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kpe_core.store.schema import RUN_TABLES, STORE_TABLES

SQL = Path(__file__).parents[2] / "sql"

_COLUMN = re.compile(r"^\s+(?:.*\bAS )?(?:\w+\.)?(\w+),?\s+-- (.+)$")
_UNIT = re.compile(r"(.+?) \[([^\]]+)\]")
_MACRO = re.compile(r"((?:^-- .*\n)+)CREATE MACRO (\w+)\(([^)]*)\) AS( TABLE)?", re.MULTILINE)


@dataclass(frozen=True)
class Column:
    """One column of a view or an answer."""

    name: str
    about: str
    unit: str = ""


@dataclass(frozen=True)
class Macro:
    """One macro: its call, and what it means."""

    name: str
    parameters: str
    is_table: bool
    about: str

    @property
    def call(self) -> str:
        return f"{self.name}({self.parameters})"


def macros() -> list[Macro]:
    """Those meant to be used, in the file's order; names that begin with an underscore are parts of others."""
    text = (SQL / "macros.sql").read_text(encoding="utf-8")
    return [
        Macro(name, parameters, bool(table), joined(comment))
        for comment, name, parameters, table in _MACRO.findall(text)
        if not name.startswith("_")
    ]


def described(view: str) -> tuple[str, dict[str, Column]]:
    """What the view's file and its table's schema say: the row, and by name the columns."""
    text = (SQL / "views" / f"{view}.sql").read_text(encoding="utf-8")
    about = joined("\n".join(line for line in text.split("CREATE", 1)[0].splitlines()))
    columns: dict[str, Column] = {}
    schema = (RUN_TABLES | STORE_TABLES).get(view)
    if schema is not None:
        for field in schema:
            told = {key.decode(): value.decode() for key, value in field.metadata.items()}
            columns[field.name] = Column(field.name, told["description"], told["unit"])
    for line in text.splitlines():
        if found := _COLUMN.match(line):
            said = _UNIT.fullmatch(found[2])
            columns[found[1]] = Column(found[1], *(said.groups() if said else (found[2],)))
    return about, columns


def comments(views: Iterable[str]) -> str:
    """Statements that tell DuckDB what every view, column and macro is, so that its own tables and shells show it."""
    lines = []
    for view in views:
        about, columns = described(view)
        lines.append(f"COMMENT ON VIEW {view} IS {_quoted(about)};")
        for c in columns.values():
            text = f"{c.about} [{c.unit}]" if c.unit else c.about
            lines.append(f'COMMENT ON COLUMN {view}."{c.name}" IS {_quoted(text)};')
    for macro in macros():
        kind = "MACRO TABLE" if macro.is_table else "MACRO"
        lines.append(f"COMMENT ON {kind} {macro.name} IS {_quoted(f'{macro.call}: {macro.about}')};")
    return "\n".join(lines)


def joined(comment: str) -> str:
    """A block of comment lines as one paragraph."""
    return " ".join(line.removeprefix("--").strip() for line in comment.strip().splitlines()).strip()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
