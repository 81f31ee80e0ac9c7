"""Finding data files, and saying what is missing; stamps that change when a file does."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from kpe_core.errors import UserError
from kpe_core.study.specs import DataSpec

DATA_VARIABLE = "KPE_DATA"


def root_of(spec: DataSpec) -> Path:
    """Where the set's files should lie: ``root``, or a folder of the set's name below ``$KPE_DATA`` (default ``data``)."""
    if spec.root is not None:
        return Path(spec.root)
    return Path(os.environ.get(DATA_VARIABLE, "data")).expanduser().absolute() / spec.name


def find(spec: DataSpec, candidates: Iterable[str], what: str, origin: str) -> Path:
    """The first of some paths below the root that is there; '.' is the root itself.

    Raises
    ------
    UserError
        when none is; says what was looked for and where, where it comes from, and what to set.
    """
    root = root_of(spec)
    tried = list(dict.fromkeys(candidates))
    for candidate in tried:
        if os.path.exists(path := root / candidate):
            return path
    raise missing(spec, what, [root / candidate for candidate in tried], origin)


def missing(spec: DataSpec, what: str, looked: list[Path], origin: str) -> UserError:
    """The error for something that is not there."""
    places = " or ".join(str(path) for path in looked)
    where = "data.root in the study" if spec.root is not None else f"data.root in the study or {DATA_VARIABLE}"
    return UserError(
        f"data set {spec.name!r}: {what} is missing; looked for {places}. It comes from {origin}. "
        f"Put it there, or set {where} to where it lies (`kpe data {spec.name}` shows the layout)"
    )


def unreadable(path: Path, why: object, remedy: str = "fetch it again") -> UserError:
    """The error for a file that is there and is not what it should be."""
    return UserError(f"{path}: {' '.join(str(why).split())}; {remedy}")


def stamp(paths: Iterable[Path]) -> str:
    """Hash of names, sizes and times of change: differs whenever a file was written, renamed or replaced.

    Raises
    ------
    FileNotFoundError
        when one is gone.
    """
    h = hashlib.sha256()
    for path in paths:
        of = path.stat()
        h.update(f"{path}\0{of.st_size}\0{of.st_mtime_ns}\0{of.st_ctime_ns}\n".encode())
    return h.hexdigest()
