"""A deployed flow that cannot go on says why in one sentence: its state's message, and a line of its log.

The traceback that follows in the log is Prefect's own: its engine raises, and logs, every failed state it ends with.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Failed

from kpe_core.errors import NumericalTrouble, QualityFailed, StoreDamaged, UserError

P = ParamSpec("P")
R = TypeVar("R")

TOLD = (UserError, QualityFailed, NumericalTrouble, StoreDamaged)


def in_sentences(flow: Callable[P, R]) -> Callable[P, R | State[Any]]:
    """``flow``, failed with the message of an error that explains itself. Goes below ``@flow``."""

    @functools.wraps(flow)
    def told(*args: P.args, **kwargs: P.kwargs) -> R | State[Any]:
        try:
            return flow(*args, **kwargs)
        except TOLD as error:
            get_run_logger().error("%s", error)
            return Failed(message=str(error))

    return told
