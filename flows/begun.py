"""Two things that take their time to start, at the same time."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def begun(block: AbstractContextManager[T]) -> Iterator[Callable[[], T]]:
    """Enter ``block`` in a thread. Yields what waits for its value, and raises what entering it raised.

    However this block is left, ``block`` is left too, once it has been entered.
    """
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(1, thread_name_prefix="begun") as thread:
        yield thread.submit(stack.enter_context, block).result
