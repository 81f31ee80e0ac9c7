"""What lies in a watched folder or under an ``s3://`` prefix, and a copy of it that nobody writes to any more."""

import contextlib
import fnmatch
import os
import shutil
import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from kpe_core.errors import UserError
from kpe_core.identity import digest
from kpe_core.store.store import NO_CACHE
from kpe_core.urls import require_no_credentials
from kpe_core.weights.files import sha256_of, sha256_of_all

UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".incomplete", ".download", ".crdownload", ".swp", ".lock")
"""Endings under which programs write what they rename once it is whole."""


@dataclass(frozen=True)
class Candidate:
    """A file, or a folder that is one model, as it is at this moment."""

    name: str
    path: str
    """In its file system's own spelling."""
    stamp: str
    """Changes with sizes, times and, in object stores, content hashes."""
    age: float
    """Seconds since any of it was last written."""


class Watched:
    """A folder or prefix. ``folders``: each model is a folder, as diffusers saves them; else each is a file."""

    def __init__(self, url: str, pattern: str = "*", folders: bool = False) -> None:
        require_no_credentials(url)
        try:
            self.fs, self.root = fsspec.core.url_to_fs(os.path.expanduser(url), **NO_CACHE)
        except (ImportError, ValueError) as error:
            raise UserError(f"{url!r} cannot be watched: {error}. Object stores need the extra `s3`") from None
        self.url, self.pattern, self.folders = url, pattern, folders
        self.is_local = isinstance(self.fs, LocalFileSystem)

    def candidates(self) -> list[Candidate]:
        """What lies there now under the pattern, the oldest first; hidden and unfinished names are left out.

        Raises
        ------
        UserError
            when there is no such folder, or it cannot be listed.
        """
        try:
            entries = self.fs.ls(self.root, detail=True)
        except FileNotFoundError:
            # A prefix without objects does not exist in an object store, and is merely empty.
            if not self.is_local:
                return []
            raise UserError(f"there is no folder {self.url} to watch; make it, or watch another") from None
        except OSError as error:
            raise UserError(f"{self.url} cannot be listed: {error}") from None
        kind = "directory" if self.folders else "file"
        found = [self._candidate(e["name"]) for e in entries if e["type"] == kind and self._is_meant(e["name"])]
        return sorted((c for c in found if c is not None), key=lambda c: -c.age)

    def still(self, candidate: Candidate) -> bool:
        """Whether it is as it was when it was listed."""
        now = self._candidate(candidate.path)
        return now is not None and now.stamp == candidate.stamp

    def copy(self, candidate: Candidate, into: Path) -> tuple[str, Path] | None:
        """Copy it to ``into/<sha256>/<name>``; the hash and the path, or None where it was written to meanwhile.

        A study computes from the copy: training may overwrite its checkpoint at any time, or remove it.
        """
        incoming = into / f"incoming-{uuid.uuid4().hex}"
        incoming.mkdir(parents=True)
        try:
            target = incoming / candidate.name
            try:
                self.fs.get(candidate.path, str(target), recursive=self.folders)
            except FileNotFoundError:
                return None
            if not self.still(candidate):
                return None
            sha256 = content_sha256(target)
            with contextlib.suppress(OSError):  # the same content is there already, under this name or another
                os.replace(incoming, into / sha256)
            return sha256, next(p for p in sorted((into / sha256).iterdir()))
        finally:
            shutil.rmtree(incoming, ignore_errors=True)

    def _is_meant(self, path: str) -> bool:
        name = path.rstrip("/").rsplit("/", 1)[-1]
        return (
            fnmatch.fnmatchcase(name, self.pattern)
            and not name.startswith((".", "~"))
            and not name.lower().endswith(UNFINISHED)
        )

    def _candidate(self, path: str) -> Candidate | None:
        """None where it is gone, or an empty folder."""
        path = path.rstrip("/")
        try:
            infos = self.fs.find(path, detail=True) if self.folders else {path: self.fs.info(path)}
        except FileNotFoundError:
            return None
        if not infos:
            return None
        told = [[name, info["size"], _written(info), info.get("ETag")] for name, info in sorted(infos.items())]
        return Candidate(path.rsplit("/", 1)[-1], path, digest(told), time.time() - max(row[2] for row in told))


def content_sha256(path: Path) -> str:
    """Of a file, its bytes'; of a folder, its files' names and hashes."""
    return sha256_of(path) if path.is_file() else sha256_of_all((p for p in path.rglob("*") if p.is_file()), path)


def _written(info: dict[str, Any]) -> float:
    """When a file was last written, seconds since 1970."""
    at = info.get("mtime", info.get("LastModified", 0.0))
    return at.timestamp() if isinstance(at, datetime) else float(at)
