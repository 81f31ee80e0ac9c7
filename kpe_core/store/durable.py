"""Files that survive a power loss: what takes its name is on the disk, and so is all that was written before it."""

import contextlib
import ctypes
import os
import sys
import uuid
from collections.abc import Iterator
from typing import IO

PARTIAL = ".partial"
"""How temporary names end, this module's and Zarr's own."""


@contextlib.contextmanager
def whole(target: str) -> Iterator[IO[bytes]]:
    """A file that takes its name once all of it is on the disk; none is left when the block fails.

    Its name is on the disk, too, when the block ends.
    """
    make_folders(os.path.dirname(target))
    partial = f"{target}.{uuid.uuid4().hex}{PARTIAL}"
    try:
        with open(partial, "wb") as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        os.replace(partial, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
    _sync_folder(os.path.dirname(target))


def make_folders(folder: str) -> None:
    """Make ``folder`` and what is missing above it; their names are on the disk afterwards."""
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for each in reversed(missing):
        os.makedirs(each, exist_ok=True)
        _sync_folder(os.path.dirname(each))


def settle(folder: str) -> None:
    """Bring everything that any program wrote into ``folder``'s file system to the disk.

    One call for thousands of small files, which Zarr writes without.

    Raises
    ------
    OSError
        when the disk did not take it.
    """
    if sys.platform != "linux":
        os.sync()
        return
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if libc.syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), folder)
    finally:
        os.close(descriptor)


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
