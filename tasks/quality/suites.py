"""Rules as Great Expectations suites. Its import takes seconds, so it happens when it is first needed."""

import logging
import os
import warnings
from typing import TYPE_CHECKING, Any

from tasks.quality.rules import Rule

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite

NATIVE_SEVERITY = {"error": "critical", "warning": "warning"}


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
    return gx.ExpectationSuite(name=name, expectations=[_expectation(gx, rule) for rule in rules])


def _expectation(gx: Any, rule: Rule) -> Any:
    return getattr(gx.expectations, rule.kind)(
        **rule.kwargs,
        description=f"{rule.text} ({rule.threshold})",
        severity=NATIVE_SEVERITY[rule.severity],
        meta={"expectation": rule.text, "severity": rule.severity, "threshold": rule.threshold},
    )
