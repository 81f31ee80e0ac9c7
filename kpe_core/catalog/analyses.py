"""The questions in ``sql/analyses/``: one file each, documented in its header, parameterised."""

import difflib
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from kpe_core.catalog.catalog import SQL, Catalog
from kpe_core.errors import UserError


@dataclass(frozen=True)
class Analysis:
    """One question. ``defaults`` hold its parameters except the study."""

    name: str
    title: str
    answers: str
    columns: str
    source: str
    sql: str
    defaults: dict[str, int] = field(default_factory=dict)

    def run(self, catalog: Catalog, study: str, **parameters: Any) -> pa.Table:
        return catalog.query(self.sql, study=study, **(self.defaults | parameters))


def analyses() -> list[Analysis]:
    """All of them, by name."""
    return [_parse(path.stem, path.read_text(encoding="utf-8")) for path in sorted((SQL / "analyses").glob("*.sql"))]


def analysis(name: str) -> Analysis:
    """The analysis called ``name``.

    Raises
    ------
    UserError
        when there is none; names the nearest.
    """
    known = {a.name: a for a in analyses()}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        raise UserError(f"no analysis {name!r}; {hint}")
    return known[name]


def _parse(name: str, sql: str) -> Analysis:
    """Read the header: lines ``-- key: text``, continued by indented ones."""
    header: dict[str, str] = {}
    defaults: dict[str, int] = {}
    key = ""
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        text = line[2:].strip()
        head, colon, rest = text.partition(":")
        if colon and head.split()[0] in ("title", "answers", "source", "param", "columns"):
            key = head
            header[key] = rest.strip()
        else:
            header[key] += f" {text}"
    for head, text in header.items():
        if head.startswith("param ") and (default := text.split(",")[0].strip()).isdigit():
            defaults[head.removeprefix("param ")] = int(default)
    return Analysis(name, header["title"], header["answers"], header["columns"], header["source"], sql, defaults)
