"""What can go wrong, sorted by whose turn it is to act."""

import unicodedata

LONGEST = 4000
"""Characters of a message; what is quoted in it may be longer than anybody reads."""


SHOWN = 200
"""Characters of a value that a message quotes."""


def shown(value: object) -> str:
    """A value as a message quotes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 20]} … {text[-15:]}"


def readable(message: object) -> str:
    """A message as text that any terminal and log can show: what could steer one is spelled out, and no longer than
    LONGEST, its beginning and end kept."""
    text = "".join(c if c in "\n\t" or _is_shown(c) else repr(c)[1:-1] for c in str(message)[: 4 * LONGEST])
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 500]} … {text[-400:]}"


def _is_shown(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


class UserError(Exception):
    """A mistake its user can mend. The message says what was wrong, where, what is allowed and what to do.

    The command line prints it without a traceback and exits with code 2.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(readable(message))


class NumericalTrouble(ArithmeticError):
    """A field or a sample stopped making sense (NaN, infinity). Names the sample, the step and the time.

    ``row``: of the batch, of the first sample it happened to; None where it is of no single one.
    """

    def __init__(self, said: str, row: int | None = None) -> None:
        super().__init__(said)
        self.row = row


class StoreDamaged(RuntimeError):
    """What lies in the store is not what was written there. Names the object."""

    def __init__(self, message: object = "") -> None:
        super().__init__(readable(message))


class QualityFailed(RuntimeError):
    """An error-level expectation failed; the run is quarantined. Names the run and the expectation."""
