"""Prefect's database of a store begins as a copy of a fresh server's: to make one by migrations takes ten seconds."""

import contextlib
import os
import shutil
import sqlite3
from importlib.metadata import version
from pathlib import Path

from kpe_core.data.cache import cache_folder


def fresh() -> Path:
    """Where this user's copy of a fresh server's database is, by Prefect's version."""
    return cache_folder() / "prefect" / f"{version('prefect')}.db"


def begin(database: Path) -> bool:
    """Copy the fresh one to where none is; False where there is none to copy, so that the server makes its own."""
    if database.exists():
        return True
    partial = database.with_name(f"{database.name}.partial")
    with contextlib.suppress(OSError):
        shutil.copyfile(fresh(), partial)
        partial.rename(database)
        return True
    return False


def keep(database: Path) -> None:
    """Keep a copy of a server's database that nobody has used yet. Where that cannot be, each makes its own."""
    kept = fresh()
    partial = kept.with_name(f"{kept.name}.{os.getpid()}")
    with contextlib.suppress(OSError, sqlite3.Error):
        kept.parent.mkdir(parents=True, exist_ok=True)
        with (
            contextlib.closing(sqlite3.connect(database)) as server,
            contextlib.closing(sqlite3.connect(partial)) as copy,
        ):
            server.backup(copy)
        partial.rename(kept)
