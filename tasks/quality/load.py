"""The suite files: one a table, what is always expected of it, in a form people can read and add to."""

import difflib
import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kpe_core.documents import read_yaml
from kpe_core.errors import UserError
from kpe_core.store.schema import RUN_TABLES
from kpe_core.study.specs import ExpectationSpec
from tasks.quality.facts import FACTS

FOLDER = Path(__file__).parent / "suites"
COLUMNS = ("column", "column_A", "column_B", "column_list", "column_set")
"""Great Expectations' arguments that name columns."""


@dataclass(frozen=True)
class Suite:
    """What is expected of one table."""

    table: str
    keys: tuple[str, ...]
    """Columns that name a row in a message."""
    columns: dict[str, str]
    """Every column and what it means: the stored table's own and what the gate works out."""
    expectations: tuple[ExpectationSpec, ...]


@functools.cache
def always_expected() -> dict[str, Suite]:
    """The suites of the files, by table.

    Raises
    ------
    UserError
        naming the file, when one is not what a suite file should be.
    """
    found = [_read(path) for path in sorted(FOLDER.glob("*.yaml"))]
    return {suite.table: suite for suite in found}


def suites(more: tuple[ExpectationSpec, ...] = ()) -> dict[str, Suite]:
    """What is always expected, and what a study adds.

    Raises
    ------
    UserError
        naming the expectation, when it speaks of a table, column or fact there is none of, or takes another's name.
    """
    found = dict(always_expected())
    for number, spec in enumerate(more):
        where = f"quality.{number}"
        if spec.table not in found:
            raise UserError(f"{where}.table = {spec.table!r}: {_instead(spec.table, found)}")
        suite = found[spec.table]
        if any(spec.means == other.means for other in suite.expectations):
            raise UserError(
                f"{where}.means = {spec.means!r}: {spec.table} has an expectation of that name; choose another"
            )
        _require_known(spec, suite.columns, where)
        found[spec.table] = replace(suite, expectations=(*suite.expectations, spec))
    return found


def _read(path: Path) -> Suite:
    document = read_yaml(path)
    wanted = {"table", "keys", "columns", "expectations"}
    if not isinstance(document, dict) or document.keys() != wanted:
        raise UserError(f"{path} should hold a mapping with the keys {', '.join(sorted(wanted))}")
    table = document["table"]
    stored = {f.name: f.metadata[b"description"].decode() for f in RUN_TABLES[table]} if table in _WHOLE else {}
    columns = stored | document["columns"]
    specs = []
    for number, entry in enumerate(document["expectations"]):
        where = f"{path.name}, expectation {number + 1}"
        try:
            spec = ExpectationSpec.model_validate({"table": table, **entry})
        except (ValidationError, TypeError) as error:
            raise UserError(f"{where}: {_first(error)}") from None
        _require_known(spec, columns, where)
        specs.append(spec)
    return Suite(table, tuple(document["keys"]), columns, tuple(specs))


_WHOLE = ("samples", "densities", "semantics", "scores", "theory")
"""Suites about a stored table's own rows, and so with its columns."""


def _require_known(spec: ExpectationSpec, columns: dict[str, str], where: str) -> None:
    for argument in COLUMNS:
        named = spec.args.get(argument, [])
        for column in [named] if isinstance(named, str) else named:
            if column not in columns:
                raise UserError(f"{where}.args.{argument} = {column!r}: {_instead(column, columns)}")
    for fact in [*spec.when, *references(spec.args), *references(spec.allowed)]:
        if fact not in FACTS:
            raise UserError(f"{where}: no fact {fact!r} of a run; {_instead(fact, FACTS)}")


def references(value: Any) -> list[str]:
    """Names of the facts that ``value`` speaks of, as ``$name``."""
    if isinstance(value, str):
        return [word[1:].rstrip(",.;") for word in value.split() if word.startswith("$")]
    if isinstance(value, dict):
        return [name for inner in value.values() for name in references(inner)]
    return [name for inner in value for name in references(inner)] if isinstance(value, list) else []


def _instead(given: str, known: dict[str, Any]) -> str:
    near = difflib.get_close_matches(str(given), known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"


def _first(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return "should be a mapping with the keys means, expectation, args"
    problem = error.errors()[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
