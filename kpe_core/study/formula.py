"""Formulas of time that a user writes in a study file: read by a grammar of their own, never executed as Python.

The grammar: numbers, t, pi, e, + - * / **, parentheses, the functions of ``FUNCTIONS``, and ``a if t < 0.5 else b``.
"""

import ast
import difflib
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from kpe_core.errors import UserError

Array = NDArray[np.float64]
Evaluate = Callable[[Array], Any]

LONGEST, DEEPEST, LARGEST_POWER, LARGEST_NUMBER = 400, 40, 100, 1e15
CONSTANTS: dict[str, float] = {"pi": np.pi, "e": np.e}
FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "sin": (np.sin, 1), "cos": (np.cos, 1), "tan": (np.tan, 1), "exp": (np.exp, 1), "log": (np.log, 1),
    "sqrt": (np.sqrt, 1), "sinh": (np.sinh, 1), "cosh": (np.cosh, 1), "tanh": (np.tanh, 1), "abs": (np.abs, 1),
    "minimum": (np.minimum, 2), "min": (np.minimum, 2), "maximum": (np.maximum, 2), "max": (np.maximum, 2),
}  # fmt: skip
"""Each with its number of arguments."""
OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide, ast.Pow: np.power,
    ast.USub: np.negative, ast.UAdd: np.positive,
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip


@dataclass(frozen=True)
class Formula:
    """A real function of t, as its text says."""

    text: str
    evaluate: Evaluate = field(repr=False, compare=False)
    breaks: tuple[float, ...] = field(default=(), compare=False)
    """Times inside (0, 1) at which a conditional on t switches, in order."""

    @overload
    def __call__(self, t: float) -> float: ...
    @overload
    def __call__(self, t: Array) -> Array: ...
    def __call__(self, t: float | Array) -> float | Array:
        """Its value at a float, or at every item of a float64 array of any shape; NaN or ±inf where undefined."""
        at = np.asarray(t, dtype=np.float64)
        with np.errstate(all="ignore"):
            value = np.broadcast_to(self.evaluate(at), at.shape)
        return float(value) if at.ndim == 0 else value.astype(np.float64)


@cache
def parse(text: str) -> Formula:
    """The formula that ``text`` spells.

    Raises
    ------
    UserError
        for anything outside the grammar, a text longer than 400 characters, nesting deeper than 40, a number
        beyond 1e15 or a constant power beyond ±100; says where.
    """
    return _Reader(text).formula()


class _Reader:
    """Turns the syntax tree into nested functions of t, node by node; what it does not know it refuses."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.breaks: set[float] = set()

    def formula(self) -> Formula:
        if len(self.text) > LONGEST:
            raise UserError(f"formula of {len(self.text)} characters; at most {LONGEST} are allowed")
        try:
            tree = ast.parse(self.text.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            at = f" at character {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
            raise UserError(
                f"formula {self.text!r} cannot be read{at}; write products with *, powers with **, e.g. t**2*(3 - 2*t)"
            ) from None
        return Formula(self.text, self.read(tree.body), tuple(sorted(self.breaks)))

    def refused(self, node: ast.AST, what: str) -> UserError:
        offset = getattr(node, "col_offset", 0)
        place = len(self.text.strip().encode()[:offset].decode(errors="replace")) + 1
        return UserError(f"formula {self.text!r}, character {place}: {what}")

    def read(self, node: ast.expr, depth: int = 0) -> Evaluate:
        if depth > DEEPEST:
            raise self.refused(node, f"nested more than {DEEPEST} deep")
        below = depth + 1
        match node:
            case ast.Constant(value=bool() | str() | bytes() | complex() | None):
                raise self.refused(node, f"{node.value!r} is not a number")
            case ast.Constant(value=int() | float() as number):
                if not abs(number) <= LARGEST_NUMBER:
                    raise self.refused(node, f"numbers beyond {LARGEST_NUMBER:g} are not allowed")
                return _constant(number)
            case ast.Name(id="t"):
                return lambda t: t
            case ast.Name(id=name):
                if name not in CONSTANTS:
                    raise self.unknown(node, name, ["t", *CONSTANTS])
                return _constant(CONSTANTS[name])
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                return _apply(OPERATORS[type(node.op)], self.read(operand, below))
            case ast.BinOp(op=ast.BitXor()):
                raise self.refused(node, "^ is not a power here; write **")
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                first, second = self.read(left, below), self.read(right, below)
                if isinstance(op, ast.Pow) and not abs(power := _value(right, second) or 0.0) <= LARGEST_POWER:
                    raise self.refused(right, f"power {power:g}; at most ±{LARGEST_POWER} is allowed")
                return _apply(OPERATORS[type(op)], first, second)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                if name not in FUNCTIONS:
                    raise self.unknown(node, name, list(FUNCTIONS))
                function, n = FUNCTIONS[name]
                if len(args) != n:
                    raise self.refused(node, f"{name} takes {n} argument{'s'[: n - 1]}, not {len(args)}")
                return _apply(function, *(self.read(a, below) for a in args))
            case ast.IfExp(test=ast.Compare() as test, body=body, orelse=orelse):
                return _apply(np.where, self.condition(test, below), self.read(body, below), self.read(orelse, below))
            case ast.IfExp():
                raise self.refused(node.test, "a condition compares two values, e.g. t < 0.5")
            case _:
                raise self.refused(
                    node,
                    f"not allowed in a formula; allowed: numbers, t, {', '.join(CONSTANTS)}, + - * / **, "
                    f"{', '.join(FUNCTIONS)}, and `a if t < 0.5 else b`",
                )

    def condition(self, test: ast.Compare, depth: int) -> Evaluate:
        nodes = [test.left, *test.comparators]
        sides = [self.read(node, depth) for node in nodes]
        pairs = []
        for i, op in enumerate(test.ops):
            if type(op) not in OPERATORS:
                raise self.refused(test, "a condition compares with <, <=, > or >=")
            for side, other in ((i, i + 1), (i + 1, i)):
                value = _value(nodes[other], sides[other])
                if value is not None and 0.0 < value < 1.0 and isinstance(nodes[side], ast.Name):
                    self.breaks.add(value)
            pairs.append(_apply(OPERATORS[type(op)], sides[i], sides[i + 1]))
        return _apply(lambda *held: np.logical_and.reduce(np.broadcast_arrays(*held)), *pairs)

    def unknown(self, node: ast.AST, name: str, allowed: list[str]) -> UserError:
        near = difflib.get_close_matches(name, allowed, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return self.refused(node, f"unknown name {name!r}; {hint}allowed: {', '.join(allowed)}")


def _value(node: ast.expr, evaluate: Evaluate) -> float | None:
    """The value of a part without t; None for one with it."""
    if any(isinstance(n, ast.Name) and n.id == "t" for n in ast.walk(node)):
        return None
    with np.errstate(all="ignore"):
        return float(evaluate(np.zeros(())))


def _constant(value: float) -> Evaluate:
    return lambda t: np.float64(value)


def _apply(function: Callable[..., Any], *arguments: Evaluate) -> Evaluate:
    return lambda t: function(*(a(t) for a in arguments))
