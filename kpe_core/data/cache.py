"""Prepared data kept on disk, each under the hash of what determines it: made once, mapped by every process."""

import contextlib
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from kpe_core.errors import UserError

VARIABLE = "KPE_CACHE"


def cache_folder() -> Path:
    """``$KPE_CACHE``, or the platform's folder for caches."""
    if said := os.environ.get(VARIABLE):
        return Path(said).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "kpe"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "kpe" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kpe"


def folder_of(key: str) -> Path:
    """Where prepared data of that key lie, if they do."""
    return cache_folder() / "prepared" / key


def entry(key: str, is_whole: Callable[[Path], bool], make: Callable[[Path], None]) -> Path:
    """The folder of that key, made by ``make`` in a temporary place and renamed, unless one that ``is_whole`` is there.

    Processes that want the same entry at once wait for the first to make it.

    Raises
    ------
    UserError
        when the folder cannot be written.
    """
    folder = folder_of(key)
    if is_whole(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_suffix(".lock")):
            if is_whole(folder):
                return folder
            for abandoned in folder.parent.glob(f"{key}.*.partial"):
                shutil.rmtree(abandoned, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)
            partial = folder.with_name(f"{key}.{uuid.uuid4().hex}.partial")
            try:
                partial.mkdir()
                make(partial)
                os.replace(partial, folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"prepared data cannot be kept in {folder.parent}: {error.strerror or error}. "
            f"Set {VARIABLE} to a folder you may write to"
        ) from None
    return folder


def require_room(folder: Path, needs: int) -> None:
    """Raises UserError when the folder's disk has no room for ``needs`` bytes."""
    free = shutil.disk_usage(folder).free
    if needs > free:
        raise UserError(
            f"prepared data would take {needs / 1e9:.1f} GB in {folder}, and {free / 1e9:.1f} GB are free; "
            f"set {VARIABLE} to a larger disk, or lower data.reference or data.size"
        )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a file's lock, which the operating system drops with the process, however that ends."""
    try:
        import fcntl
    except ImportError:  # where there is no such lock, two makers are wasteful and harmless
        yield
        return
    with open(path, "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield
