"""Rules as Great Expectations suites. Its import takes seconds, so it happens when it is first needed."""

import difflib
import logging
import os
import warnings
from html import escape
from typing import TYPE_CHECKING, Any

from kpe_core.errors import UserError
from kpe_core.study.specs import ExpectationSpec
from tasks.quality.condition import require_harmless
from tasks.quality.load import references, suites
from tasks.quality.rules import Rule

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite

NATIVE_SEVERITY = {"error": "critical", "warning": "warning"}
_OWN = {"id", "meta", "notes", "result_format", "description", "catch_exceptions", "rendered_content", "severity"}
"""Arguments that are not for suite files: the gate sets them."""


def great_expectations() -> Any:
    """The module, told before it loads to send nothing home."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    os.environ["DO_NOT_TRACK"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    return gx


def suite(name: str, rules: list[Rule]) -> "ExpectationSuite":
    """The suite of one frame. Each expectation carries its text, severity and threshold."""
    gx = great_expectations()
    return gx.ExpectationSuite(name=name, expectations=[_expectation(rule) for rule in rules])


def require_valid(more: tuple[ExpectationSpec, ...]) -> None:
    """See whether a study's own expectations are ones that Great Expectations has, with arguments it takes.

    Raises
    ------
    UserError
        naming the expectation and what is allowed. Without any, Great Expectations is not even imported.
    """
    if not more:
        return
    suites(more)
    for number, spec in enumerate(more):
        require_possible(spec, f"quality.{number}")


def require_possible(spec: ExpectationSpec, where: str) -> None:
    """The same for one expectation; ``where`` says which in the error."""
    kind = _kind(spec.expectation, where)
    allowed = sorted(set(kind.__fields__) - _OWN - {"windows", "batch_id", "condition_parser"})
    for name in spec.args:
        if name not in allowed:
            near = difflib.get_close_matches(name, allowed, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"{spec.expectation} takes {', '.join(allowed)}"
            raise UserError(f"{where}.args: unknown argument {name!r}; {hint}")
    require_harmless(spec.args.get("row_condition"), where)
    # What a fact will be is not known yet; a number it takes for granted may be a list.
    plain = {name: value for name, value in spec.args.items() if not references(value)}
    try:
        kind(**plain)
    except ValueError as error:
        given = {str(problem["loc"][0]): str(problem["msg"]) for problem in reversed(getattr(error, "errors", list)())}
        problems = [f"{name}: {said}" for name, said in given.items() if name in plain]
        if missing := [name for name in given if name not in spec.args and name != "__root__"]:
            problems.append(f"{', '.join(missing)} must be given")
        if "__root__" in given and plain == spec.args:
            problems.append(given["__root__"])
        if problems:
            raise UserError(f"{where}.args: {'; '.join(problems)}") from None


def _kind(name: str, where: str) -> Any:
    great_expectations()
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )

    known = [n for n in list_registered_expectation_implementations() if n.startswith("expect_")]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "https://greatexpectations.io/expectations lists them"
        raise UserError(f"{where}.expectation = {name!r}: Great Expectations has none of that name; {hint}")
    return get_expectation_impl(name)


def _expectation(rule: Rule) -> Any:
    require_harmless(rule.kwargs.get("row_condition"), rule.text)
    return _kind(rule.kind, rule.text)(
        **rule.kwargs,
        # Great Expectations puts it on its pages as HTML.
        description=escape(f"{rule.text} ({rule.threshold})"),
        severity=NATIVE_SEVERITY[rule.severity],
        meta={"expectation": rule.text, "severity": rule.severity, "threshold": rule.threshold},
    )
