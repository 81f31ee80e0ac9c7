"""Two things started at once: what is waited for, what is raised, and what is left in which order."""

import contextlib
import threading
from collections.abc import Iterator

import pytest

from flows.begun import begun


@contextlib.contextmanager
def noted(log: list[str], ready: threading.Event | None = None) -> Iterator[str]:
    if ready is not None:
        assert ready.wait(10)
    log.append("entered")
    try:
        yield "value"
    except BaseException as error:
        log.append(f"saw {type(error).__name__}")
        raise
    finally:
        log.append("left")


def test_the_block_goes_on_while_it_is_entered() -> None:
    log: list[str] = []
    ready = threading.Event()
    with begun(noted(log, ready)) as value:
        assert log == []
        ready.set()
        assert value() == value() == "value"
        assert log == ["entered"]
    assert log == ["entered", "left"]


def test_a_block_that_fails_first_still_leaves_what_is_entered_later() -> None:
    log: list[str] = []
    ready = threading.Event()
    threading.Timer(0.1, ready.set).start()
    with pytest.raises(KeyError), begun(noted(log, ready)):
        raise KeyError("meanwhile")
    assert log == ["entered", "saw KeyError", "left"]


def test_what_entering_raised_is_raised_where_it_is_waited_for() -> None:
    @contextlib.contextmanager
    def broken() -> Iterator[None]:
        raise OSError("no server")
        yield

    with begun(broken()) as value, pytest.raises(OSError, match="no server"):
        value()
