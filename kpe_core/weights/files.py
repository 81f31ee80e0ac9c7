"""Files and folders of pretrained weights: found or missed by name, hashed, their configurations read."""

import functools
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from kpe_core.documents import parse_json
from kpe_core.errors import UserError

M = TypeVar("M", bound="Said")

PUT_IT_THERE = "Put it there, or give another path in the study (or by --set)"


class Said(BaseModel):
    """What is read of a configuration that another program wrote; it says more, which is left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


def found(path: str | Path, what: str, source: str = PUT_IT_THERE) -> Path:
    """The file or folder ``path``, ``~`` expanded; relative ones are looked for in the current folder.

    Raises
    ------
    UserError
        when there is none; says what is missing, where it was looked for, and where it comes from or what to set
        (``source``, a sentence).
    """
    place = Path(path).expanduser().absolute()
    if not os.path.exists(place):
        raise UserError(f"{what} is missing; looked for {place}. {source}")
    return place


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes; of a folder, of its files' names and bytes. Computed again only when one has changed."""
    if path.is_file():
        stat = path.stat()
        return _file_digest(path, stat.st_size, stat.st_mtime_ns)
    named = "\n".join(f"{f.name} {sha256_of(f)}" for f in sorted(path.iterdir()) if f.is_file())
    return hashlib.sha256(named.encode()).hexdigest()


def sha256_of_all(paths: Iterable[Path], root: Path) -> str:
    """Of some files: of their names below ``root`` and their hashes."""
    lines = sorted(f"{os.path.relpath(path, root)} {sha256_of(path)}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@functools.lru_cache(maxsize=256)
def _file_digest(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """A configuration file.

    Raises
    ------
    UserError
        when it is no JSON object.
    """
    try:
        said = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no JSON object ({error}); fetch it again") from None
    if not isinstance(said, dict):
        raise UserError(f"{path} is no JSON object; fetch it again")
    return said


def read_config(path: Path, shape: type[M]) -> M:
    """What a configuration file says of itself, held to what is expected there.

    Raises
    ------
    UserError
        when it is no JSON object, or says something that cannot be.
    """
    return as_said(read_json(path), shape, path)


def as_said(values: dict[str, Any], shape: type[M], path: Path) -> M:
    """The values that matter here, of the configuration in ``path``.

    Raises
    ------
    UserError
        for one that cannot be.
    """
    try:
        return shape.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where, what = ".".join(map(str, first["loc"])) or "the whole of it", first["msg"]
        raise UserError(f"{path}: {where}: {what[0].lower()}{what[1:]}; fetch it again") from None
