"""``row_condition``: which rows an expectation is about. Great Expectations hands it to pandas, which runs what it says."""

import ast

from kpe_core.errors import UserError

LONGEST = 500
_ALLOWED = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.Invert, ast.Compare, ast.Eq, ast.NotEq,
    ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.BitAnd,
    ast.BitOr, ast.Name, ast.Load, ast.Constant, ast.List, ast.Tuple,
)  # fmt: skip
"""No calls, no attributes, no subscripts, no powers, and none of pandas' ``@variables``."""


def require_harmless(condition: object, where: str) -> None:
    """Whether a ``row_condition`` compares columns with numbers and texts, and does nothing else.

    Raises
    ------
    UserError
        naming what it must not hold: pandas would call methods that write files, or run programs.
    """
    if condition is None:
        return
    allowed = "a condition compares columns with numbers or texts, e.g. kpe > 1 and t <= 0.5"
    if not isinstance(condition, str) or len(condition) > LONGEST:
        raise UserError(f"{where}.args.row_condition should be a text of at most {LONGEST} characters; {allowed}")
    # Signs that pandas reads in its own way, before Python's grammar has a say.
    if strange := next((sign for sign in "@`#\n\\" if sign in condition), None):
        raise UserError(f"{where}.args.row_condition = {condition!r} holds {strange!r}, which is refused; {allowed}")
    try:
        tree = ast.parse(condition.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UserError(f"{where}.args.row_condition = {condition!r} cannot be read; {allowed}") from None
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED) or (isinstance(node, ast.Name) and node.id.startswith("_")):
            what = type(node).__name__.lower()
            raise UserError(f"{where}.args.row_condition = {condition!r} holds a {what}, which is refused; {allowed}")
