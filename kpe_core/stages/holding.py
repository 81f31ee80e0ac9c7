"""Who may change a store at the same time: studies share it, and whatever removes from it has it alone.

On object stores there is no lock, and both always succeed; there garbage.py goes by age.
"""

import contextlib
import os
from collections.abc import Iterator

from kpe_core.errors import UserError
from kpe_core.store.store import Store

NAME = "store"
STUDY = "study-"


@contextlib.contextmanager
def share(store: Store) -> Iterator[None]:
    """Hold the store so that nothing is removed from it meanwhile.

    Raises
    ------
    UserError
        when a command that removes or copies has it alone.
    """
    if store.is_local and not os.access(store.root, os.W_OK):  # where nothing can be written, nothing can be removed
        yield
        return
    with store.lock(NAME, wait=False, shared=True) as free:
        if not free:
            raise UserError(f"a `kpe gc`, `kpe rm` or `kpe cp` is at work in {store.url}; wait for it")
        yield


@contextlib.contextmanager
def have_alone(store: Store, what: str) -> Iterator[None]:
    """Hold the store so that nobody else changes it meanwhile. ``what`` waits for it, as "nothing is removed".

    Raises
    ------
    UserError
        when a study is being run there, which it names, or another command is at work.
    """
    with store.lock(NAME, wait=False) as free:
        if not free:
            running = running_studies(store)
            who = f"study {', '.join(running)} is being run" if running else "another command is at work"
            raise UserError(f"{who} in {store.url}, and {what} meanwhile; wait for it")
        yield


def running_studies(store: Store) -> list[str]:
    """Studies that a `kpe run` is writing now; none on object stores, which cannot tell."""
    names = [n.removesuffix(".lock") for n in store.list("locks") if n.startswith(STUDY)] if store.is_local else []
    return [name.removeprefix(STUDY) for name in names if _is_held(store, name)]


def _is_held(store: Store, name: str) -> bool:
    with store.lock(name, wait=False, shared=True) as free:
        return not free
