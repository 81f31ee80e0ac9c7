"""What a deployed flow is called, and why one cannot go on, in a sentence.

The traceback that follows in a failure's log is Prefect's own: its engine raises, and logs, every failed state it ends in.
"""

import functools
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, ParamSpec, TypeVar

from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Failed

from kpe_core.errors import NumericalTrouble, QualityFailed, StoreDamaged, UserError

P = ParamSpec("P")
R = TypeVar("R")

TOLD = (UserError, QualityFailed, NumericalTrouble, StoreDamaged)


def called(what: str) -> Callable[[], str]:
    """Names a run after what it does and its study: the name in its overrides, as a checkpoint's, else its file's."""

    def name() -> str:
        given: dict[str, Any] = flow_run.parameters
        names = [text.removeprefix("name=") for text in given.get("overrides") or () if text.startswith("name=")]
        return f"{what} {[PurePath(given['study']).stem, *names][-1]}"

    return name


def in_sentences(flow: Callable[P, R]) -> Callable[P, R | State[Any]]:
    """``flow``, failed with the message of an error that explains itself, also in its log. Goes below ``@flow``."""

    @functools.wraps(flow)
    def told(*args: P.args, **kwargs: P.kwargs) -> R | State[Any]:
        try:
            return flow(*args, **kwargs)
        except TOLD as error:
            get_run_logger().error("%s", error)
            return Failed(message=str(error))

    return told
