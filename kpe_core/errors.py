"""What can go wrong, sorted by whose turn it is to act."""


class UserError(Exception):
    """A mistake its user can mend. The message says what was wrong, where, what is allowed and what to do.

    The command line prints it without a traceback and exits with code 2.
    """


class NumericalTrouble(ArithmeticError):
    """A field or a sample stopped making sense (NaN, infinity). Names the sample, the step and the time.

    ``row``: of the batch, of the first sample it happened to; None where it is of no single one.
    """

    def __init__(self, said: str, row: int | None = None) -> None:
        super().__init__(said)
        self.row = row


class StoreDamaged(RuntimeError):
    """What lies in the store is not what was written there. Names the object."""


class QualityFailed(RuntimeError):
    """An error-level expectation failed; the run is quarantined. Names the run and the expectation."""
