"""Expectations of one run: those whose conditions it meets, with its own numbers in place of the facts' names."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from kpe_core.study.specs import ExpectationSpec
from tasks.quality.load import Suite, references

Severity = Literal["error", "warning"]
Facts = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """One expectation: its name and arguments in Great Expectations, and how people read it."""

    text: str
    kind: str
    kwargs: dict[str, Any]
    threshold: str
    severity: Severity = "error"


def rules(suite: Suite, facts: Facts) -> list[Rule]:
    """Everything the suite expects of the run that ``facts`` describe; what does not apply to it is left out."""
    return [_rule(spec, facts) for spec in suite.expectations if applies(spec.when, facts)]


def applies(when: dict[str, Any], facts: Facts) -> bool:
    """Whether every fact has the value, or one of the values, that ``when`` gives it."""
    return all(facts[name] in (value if isinstance(value, list) else [value]) for name, value in when.items())


def _rule(spec: ExpectationSpec, facts: Facts) -> Rule:
    kwargs = {name: _filled(value, facts) for name, value in spec.args.items()}
    threshold = _in_words(spec.allowed, facts) if spec.allowed else _threshold(spec.expectation, kwargs)
    return Rule(spec.means, spec.expectation, kwargs, threshold, spec.severity)


def _filled(value: Any, facts: Facts) -> Any:
    """``value`` with the fact itself for each ``$fact``."""
    if isinstance(value, str) and value.startswith("$"):
        return facts[value[1:]]
    if isinstance(value, dict):
        return {name: _filled(inner, facts) for name, inner in value.items()}
    return [_filled(inner, facts) for inner in value] if isinstance(value, list) else value


def _in_words(text: str, facts: Facts) -> str:
    for name in references(text):
        value = facts[name]
        text = text.replace(f"${name}", ", ".join(value) or "none" if isinstance(value, list) else str(value))
    return text


def _threshold(name: str, kwargs: dict[str, Any]) -> str:
    """What the arguments allow, as people write it."""
    column = kwargs.get("column", "rows")
    if of_all := re.fullmatch(r"expect_column_(mean|median|min|max|stdev|sum|unique_value_count)_to_be_between", name):
        column = f"{of_all[1].replace('_', ' ')} of {column}"
    if "column_A" in kwargs:
        return f"{kwargs['column_B']} {'≤' if kwargs.get('or_equal') else '<'} {kwargs['column_A']}"
    if "min_value" in kwargs or "max_value" in kwargs:
        return _interval(column, kwargs) + _mostly(kwargs)
    if "value_set" in kwargs:
        allowed = kwargs["value_set"]
        if allowed == [True]:
            return "all" + _mostly(kwargs)
        return (f"{column} = {allowed[0]}" if len(allowed) == 1 else ", ".join(map(str, allowed))) + _mostly(kwargs)
    if "value" in kwargs:
        return f"{kwargs['value']} rows"
    if kwargs.keys() == {"column"}:
        return f"no {column} twice"
    return ", ".join(f"{name} = {value}" for name, value in kwargs.items())


def _interval(column: str, kwargs: dict[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low == high:
        return f"{column} = {low:g}"
    left = "" if low is None else f"{low:g} {'<' if kwargs.get('strict_min') else '≤'} "
    right = "" if high is None else f" {'<' if kwargs.get('strict_max') else '≤'} {high:g}"
    return f"{left}{column}{right}"


def _mostly(kwargs: dict[str, Any]) -> str:
    share = kwargs.get("mostly", 1)
    return f" for {share:.0%} of the rows" if share < 1 else ""
