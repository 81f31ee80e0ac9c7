"""``kpe sql QUERY``: one question, one answer."""

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flows.commands.formats import chosen_format, emit
from flows.commands.render import human_bytes
from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import UserError
from kpe_core.store.store import Store


@dataclass
class Asking:
    """Of which store, and how the answers are given. The shell changes all but the store."""

    store: str
    format: str | None = None
    output: Path | None = None
    io: bool = False
    allow_read: Path | None = None
    seconds: float | None = None
    memory: str = "2GB"

    def open(self) -> Catalog:
        """The catalog asked.

        Raises
        ------
        UserError
            when there is no such store or folder.
        """
        if self.allow_read is not None and not os.path.isdir(self.allow_read):
            raise UserError(f"--allow-read {self.allow_read} is no folder")
        folder = None if self.allow_read is None else str(self.allow_read)
        return Catalog(Store.open(self.store), folder, self.memory)


def ask(asking: Asking, query: str) -> None:
    """Print or write the answer to one read-only statement."""
    chosen_format(asking.format, asking.output)
    with asking.open() as catalog:
        answer(catalog, asking, query)


def answer(catalog: Catalog, asking: Asking, query: str) -> None:
    """The same in an open catalog. Ctrl-C stops the statement and raises KeyboardInterrupt."""

    def work() -> None:
        with catalog.stream(query, asking.seconds) as reader:
            emit(reader, chosen_format(asking.format, asking.output), asking.output)

    interruptible(work, catalog.interrupt)
    if asking.io:
        io = catalog.io()
        print(
            f"read {io.chunks:,} of {io.total_chunks:,} chunks of trajectories, "
            f"{human_bytes(io.bytes)} of {human_bytes(io.total_bytes)}",
            file=sys.stderr,
        )


def interruptible(work: Callable[[], None], stop: Callable[[], None]) -> None:
    """Do ``work`` in another thread: DuckDB leaves the main one no moment to notice Ctrl-C, which calls ``stop``."""
    failed: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)
        finally:
            done.set()

    threading.Thread(target=run, daemon=True).start()
    try:
        while not done.wait(0.05):
            pass
    except KeyboardInterrupt:
        stop()
        while not done.wait(0.1):
            stop()  # the first may have come before the statement began
        raise
    if failed:
        raise failed[0]
