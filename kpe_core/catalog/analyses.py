"""The questions in ``sql/analyses/``: one file each, documented in its header, parameterised.

A header is lines ``-- key: text``, continued by lines indented under them:

    -- title: What changes from low to high energy
    -- answers: what it answers, in a sentence
    -- source: where the question comes from
    -- param study: the study
    -- param quantiles: integer from 2 to 1000, default 5: how many quantiles
    -- column kpe: mean kinetic path energy [coordinate²/time]
"""

import difflib
import re
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from kpe_core.catalog.catalog import Catalog
from kpe_core.catalog.described import SQL, Column
from kpe_core.catalog.parameters import Parameter
from kpe_core.errors import UserError

KEY = re.compile(r"-- (title|answers|source|param|column) ?([\w, …]*): (.*)")


@dataclass(frozen=True)
class Analysis:
    """One question."""

    name: str
    title: str
    answers: str
    source: str
    parameters: tuple[Parameter, ...]
    """Those beside the study."""
    outputs: tuple[Column, ...]
    sql: str

    @property
    def columns(self) -> str:
        """What the columns are, in a paragraph."""
        return "; ".join(f"{c.name}: {c.about}" + (f" [{c.unit}]" if c.unit else "") for c in self.outputs)

    def statement(self, study: str) -> str:
        """The same question as one statement for ``kpe sql``: the study and the parameters' defaults written out."""
        values: dict[str, Any] = {"study": study} | {p.name: p.default for p in self.parameters}
        # Headers speak of parameters too, and stay as they are.
        return re.sub(
            r"^--.*$|\$(\w+)", lambda m: literal(values[m[1]]) if m[1] else m[0], self.sql, flags=re.MULTILINE
        )

    def run(self, catalog: Catalog, study: str, **given: Any) -> pa.Table:
        """The answer for one study; ``given`` are parameters by name, as text or as what they should become.

        Raises
        ------
        UserError
            for a parameter that there is not, or a value that it may not have.
        """
        known = {p.name: p for p in self.parameters}
        for name in given:
            if name not in known:
                raise UserError(f"{self.name} has no parameter {name!r}; {_nearest(name, list(known))}")
        values = {p.name: p.checked(given.get(p.name, p.default), catalog.numeric_columns) for p in self.parameters}
        return catalog.query(self.sql, study=study, **values)


def analyses() -> list[Analysis]:
    """All of them, by name."""
    return [parse(path.stem, path.read_text(encoding="utf-8")) for path in sorted((SQL / "analyses").glob("*.sql"))]


def analysis(name: str) -> Analysis:
    """The analysis called ``name``.

    Raises
    ------
    UserError
        when there is none; names the nearest.
    """
    known = {a.name: a for a in analyses()}
    if name not in known:
        raise UserError(f"no analysis {name!r}; {_nearest(name, list(known))}")
    return known[name]


def parse(name: str, sql: str) -> Analysis:
    """Read the header.

    Raises
    ------
    ValueError
        when it lacks something, or holds a line that is none of the keys'.
    """
    lines: list[tuple[str, str, str]] = []
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        if found := KEY.fullmatch(line):
            lines.append((found[1], found[2].strip(), found[3].strip()))
        elif lines and line.startswith("--   "):
            key, subject, text = lines.pop()
            lines.append((key, subject, f"{text} {line[2:].strip()}"))
        else:
            raise ValueError(f"sql/analyses/{name}.sql: {line!r} is no line of a header")
    told = {key: text for key, subject, text in lines if not subject}
    if missing := {"title", "answers", "source"} - set(told):
        raise ValueError(f"sql/analyses/{name}.sql: the header lacks {', '.join(sorted(missing))}")
    parameters = [Parameter.of(s, text) for key, s, text in lines if key == "param" and s != "study"]
    outputs = [c for key, s, text in lines if key == "column" for c in _columns(s, text)]
    return Analysis(name, told["title"], told["answers"], told["source"], tuple(parameters), tuple(outputs), sql)


def literal(value: str | int | float) -> str:
    """A value as SQL spells it."""
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def _columns(names: str, text: str) -> list[Column]:
    """``low, high: about [unit]`` speaks of two columns."""
    about, bracket, unit = text.rpartition(" [")
    if not bracket or not unit.endswith("]"):
        about, unit = text, ""
    return [Column(name.strip(), about, unit.rstrip("]")) for name in names.split(",")]


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known) or 'none'}"
