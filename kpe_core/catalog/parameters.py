"""What an analysis may be given: typed parameters with defaults, read from its header, checked before any SQL runs."""

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kpe_core.errors import UserError

NUMBER = r"[-+]?[\d.]+(?:e[-+]?\d+)?"
HEADER = re.compile(r"(?P<kind>.+?), default (?P<default>[^:]*): (?P<about>.+)", re.DOTALL)
RANGED = re.compile(rf"(?P<kind>integer|number) from (?P<low>{NUMBER}) to (?P<high>{NUMBER})")

Columns = Callable[[str], list[str]]
"""The columns of a view that hold numbers or truth values, by the view's name."""


@dataclass(frozen=True)
class Parameter:
    """One parameter: ``kind`` is integer, number, text, choice or column."""

    name: str
    kind: str
    default: Any
    about: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    view: str = ""
    """Of a column: the view whose numeric columns may be named; the name reaches the SQL as a value, never as text."""

    @classmethod
    def of(cls, name: str, text: str) -> "Parameter":
        """From a header's text, e.g. ``integer from 2 to 1000, default 5: how many quantiles``.

        Raises
        ------
        ValueError
            when the text is no such thing.
        """
        found = HEADER.fullmatch(text)
        if found is None:
            raise ValueError(f"parameter {name}: {text!r} is not `KIND, default VALUE: ABOUT`")
        kind, default, about = (found[key].strip() for key in ("kind", "default", "about"))
        if ranged := RANGED.fullmatch(kind):
            low, high = float(ranged["low"]), float(ranged["high"])
            parameter = cls(name, ranged["kind"], default, about, low, high)
        elif kind.startswith("one of "):
            choices = tuple(c.strip() for c in kind.removeprefix("one of ").split("|"))
            parameter = cls(name, "choice", default, about, choices=choices)
        elif kind.startswith("column of "):
            view, _, also = kind.removeprefix("column of ").partition(" or ")
            return cls(name, "column", default, about, choices=(also,) if also else (), view=view)
        elif kind == "text":
            return cls(name, "text", "" if default == "''" else default, about)
        else:
            raise ValueError(f"parameter {name}: unknown kind {kind!r}")
        return cls(**(vars(parameter) | {"default": parameter.checked(default, lambda _: [])}))

    @property
    def allowed(self) -> str:
        """What it may be, in words."""
        if self.kind == "choice":
            return f"one of {', '.join(self.choices)}"
        if self.kind == "column":
            return " or ".join([f"a numeric column of {self.view}", *self.choices])
        if self.kind == "text":
            return "any text"
        return f"{'a whole number' if self.kind == 'integer' else 'a number'} from {self.low:g} to {self.high:g}"

    def checked(self, value: Any, columns: Columns) -> Any:
        """``value`` (text from the command line, or what it should become) as the SQL wants it.

        Raises
        ------
        UserError
            when it is not allowed; names the nearest that is.
        """
        if self.kind in ("integer", "number"):
            return self._number(value)
        if self.kind == "choice":
            return self._member(value, list(self.choices))
        if self.kind == "column":
            return self._member(value, [*columns(self.view), *self.choices])
        return str(value)

    def _number(self, value: Any) -> int | float:
        try:
            number = float(value)
            whole = number.is_integer()
        except (TypeError, ValueError, OverflowError):
            raise UserError(f"parameter {self.name}={value!r}: give {self.allowed}") from None
        if not self.low <= number <= self.high or (self.kind == "integer" and not whole):
            raise UserError(f"parameter {self.name}={value!r}: give {self.allowed}")
        return int(number) if self.kind == "integer" else number

    def _member(self, value: Any, allowed: list[str]) -> str:
        if value in allowed:
            return str(value)
        near = difflib.get_close_matches(str(value), allowed, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(allowed)}"
        what = f"{self.view} has no numeric column" if self.kind == "column" else f"parameter {self.name}: no"
        raise UserError(f"{what} {value!r}; {hint}")


def parse_assignments(texts: list[str]) -> dict[str, str]:
    """``name=value`` texts as a dict.

    Raises
    ------
    UserError
        when one is not of that form, or a name comes twice.
    """
    given: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UserError(f"--param {text!r}: write name=value, e.g. --param quantiles=10")
        if name.strip() in given:
            raise UserError(f"--param {name.strip()} is given twice")
        given[name.strip()] = value.strip()
    return given
