"""Parameters: what a header says, what a user may give, and that a mistake is told with the nearest right one."""

import re

import pytest

from kpe_core.catalog.analyses import analyses, parse
from kpe_core.catalog.parameters import Parameter, parse_assignments
from kpe_core.errors import UserError

COUNT = Parameter.of("quantiles", "integer from 2 to 1000, default 5: how many")
LEVEL = Parameter.of("after", "number from 0 to 1, default 0.9: from when on")
WAY = Parameter.of("grouping", "one of quantile | memorized | class, default quantile: what parts them")
COLUMN = Parameter.of("by", "column of samples or log_density, default kpe: of what")


def columns(view: str) -> list[str]:
    return {"samples": ["kpe", "margin", "score"]}[view]


def test_headers_say_kind_default_and_meaning() -> None:
    assert (COUNT.kind, COUNT.default, COUNT.low, COUNT.high, COUNT.about) == ("integer", 5, 2, 1000, "how many")
    assert (LEVEL.default, WAY.choices) == (0.9, ("quantile", "memorized", "class"))
    assert (COLUMN.view, COLUMN.choices, COLUMN.default) == ("samples", ("log_density",), "kpe")
    assert Parameter.of("a", "text, default '': a run").default == ""


@pytest.mark.parametrize("text", ["", "5, how many", "integer from 2 to 9, default x: n", "float, default 1: x"])
def test_a_header_that_says_less_is_an_error(text: str) -> None:
    with pytest.raises((ValueError, UserError)):
        Parameter.of("n", text)


@pytest.mark.parametrize(
    ("parameter", "given", "becomes"),
    [(COUNT, "10", 10), (COUNT, 7, 7), (COUNT, "1e2", 100), (LEVEL, "0.5", 0.5), (WAY, "class", "class"),
     (COLUMN, "margin", "margin"), (COLUMN, "log_density", "log_density")],
)  # fmt: skip
def test_values_become_what_the_sql_wants(parameter: Parameter, given: object, becomes: object) -> None:
    assert parameter.checked(given, columns) == becomes


@pytest.mark.parametrize(
    ("parameter", "given", "says"),
    [
        (COUNT, "many", "a whole number from 2 to 1000"),
        (COUNT, "2.5", "a whole number from 2 to 1000"),
        (COUNT, "1", "a whole number from 2 to 1000"),
        (COUNT, "inf", "a whole number from 2 to 1000"),
        (LEVEL, "nan", "a number from 0 to 1"),
        (WAY, "klass", "did you mean 'class'"),
        (COLUMN, "margni", "did you mean 'margin'"),
        (COLUMN, "kpe) FROM samples; --", "no numeric column"),
        (COLUMN, "zzz", "there are kpe, margin, score, log_density"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_right(parameter: Parameter, given: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        parameter.checked(given, columns)


def test_assignments() -> None:
    assert parse_assignments(["a=1", "b = x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    for wrong in (["a"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(UserError, match="--param"):
            parse_assignments(wrong)


@pytest.mark.parametrize(
    "header",
    ["-- title: t\n-- answers: a\n", "-- title: t\nword\n", "-- title: t\n-- answer: a\n-- source: s\n", "SELECT 1"],
)
def test_a_header_that_lacks_something_is_an_error(header: str) -> None:
    with pytest.raises(ValueError, match=r"sql/analyses/x\.sql"):
        parse("x", header)


def test_every_parameter_is_used_and_every_used_one_declared() -> None:
    for analysis in analyses():
        body = "\n".join(line for line in analysis.sql.splitlines() if not line.startswith("--"))
        used = set(re.findall(r"\$(\w+)", body))
        assert used == {p.name for p in analysis.parameters} | {"study"}, analysis.name
