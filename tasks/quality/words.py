"""Great Expectations' answers as short sentences: what was seen, and of which samples."""

import math
from typing import Any

import pandas as pd

from kpe_core.study.runs import Run
from tasks.quality.rules import Rule

_OF_ROWS = ("expect_table_row_count_to_equal", "expect_table_row_count_to_be_between")
SHOWN = 5
"""Failing rows named in a sentence."""


def check_row(run: Run, name: str, rule: Rule, result: Any, frame: pd.DataFrame, keys: list[str]) -> dict[str, Any]:
    """A row of the checks table from a validation result; ``keys`` are the columns that name a row of the frame."""
    return {
        "run": run.run_id,
        "expectation": rule.text,
        "suite": name,
        "success": bool(result.success),
        "observed": _observed(rule, result, frame, keys),
        "threshold": rule.threshold,
        "severity": rule.severity,
        "failed": _failed(result),
        "rows": [" ".join(_short(row[key]) for key in keys) for row in _indices(result)],
    }


def _failed(result: Any) -> int | None:
    """How many rows failed; None where it was not rows that were asked."""
    if result.success or "unexpected_count" not in result.result:
        return None
    return int(result.result["unexpected_count"])


def _indices(result: Any) -> list[dict[str, Any]]:
    """The first failing rows, by their keys and the value that failed."""
    return [] if result.success else result.result.get("partial_unexpected_index_list") or []


def _observed(rule: Rule, result: Any, frame: pd.DataFrame, keys: list[str]) -> str:
    found = result.result
    if not result.success and not found:
        return f"could not be evaluated: {_reason(result.exception_info)}"
    if "partial_missing_list" in found:
        return _set_difference(found)
    if "element_count" not in found:
        return f"{_short(found.get('observed_value'))}{' rows' if rule.kind in _OF_ROWS else ''}"
    column = rule.kwargs.get("column")
    if not found["unexpected_count"]:
        return _extent(frame[column]) if column is not None else f"all {found['element_count']} rows"
    unit = keys[0] if keys == ["sample"] else "row"
    count = f"{found['unexpected_count']} of {found['element_count']} {unit}s"
    named = [_name(row, column, keys) for row in _indices(result)[:SHOWN]]
    if not named:
        return f"{count} beyond"
    return f"{count}: {', '.join(named)}{', …' if found['unexpected_count'] > len(named) else ''}"


def _set_difference(found: dict[str, Any]) -> str:
    said = [
        f"{what}: {', '.join(map(str, found[key]))}"
        for what, key in (("missing", "partial_missing_list"), ("unexpected", "partial_unexpected_list"))
        if found[key]
    ]
    return "; ".join(said) or "all of them"


def _extent(values: pd.Series) -> str:
    """The range of a numeric column; else how many rows agree."""
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    present = values.dropna()
    if not numeric or present.empty:
        return f"all {len(values)} rows"
    low, high = float(present.min()), float(present.max())
    return f"{low:.6g}" if low == high else f"{low:.6g} … {high:.6g}"


def _name(row: dict[str, Any], column: str | None, keys: list[str]) -> str:
    """A failing row by its keys, with the value that failed."""
    name = " ".join(_short(row[key]) for key in keys)
    return name if column is None or column in keys else f"{name} ({_short(row.get(column))})"


def _short(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "missing"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _reason(info: dict[str, Any]) -> str:
    """The first exception's message; Great Expectations gives one record, or one a metric."""
    if "exception_message" in info:
        return str(info["exception_message"])
    return "; ".join(str(record["exception_message"]) for record in list(info.values())[:1])
