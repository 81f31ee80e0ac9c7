"""A store: one folder or ``s3://`` prefix that holds everything a study computes.

::

    store.json                       format and numerics version
    weights/<recipe>/                trained networks and classifiers, under the hash of what determines them
    features/<id>/                   features of real data, under the hash of data, extractor and weights
    trajectories/<id>/               data.zarr, plan.json, shards/00000.json …
    runs/<id>/                       run.json, measures/, tables/, and manifest.json or quarantine.json
    tunings/<id>/                    generations/, trials.parquet: what `kpe tune` tried
    comparisons/  studies/<name>/    paired differences; what each study last said, its report, how its runs went

Every object carries a checksum, or another object holds it (format 4): JSON, Parquet and pages their own (sealed.py);
Zarr chunks a CRC-32C that every Zarr reader verifies; what is laid out before sampling, in ``plan.json``; weights, in
their card; figures, in ``report.json``. Small objects are checked whole whenever they are read, large ones by the piece:
see catalog.py for what a query checks, and stages/inspect.py for `kpe verify`, which reads everything.

Every object is written under a temporary name and renamed (locally) or put in one request (object stores): it is there
whole or not at all.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from kpe_core.errors import StoreDamaged, UserError
from kpe_core.identity import FORMAT_SINCE, FORMAT_VERSION, NUMERICS_VERSION, SEALED_SINCE, canonical_digest
from kpe_core.store.durable import PARTIAL, settle, whole
from kpe_core.store.sealed import (
    PARQUET,
    Broken,
    opened_json,
    require_footer,
    require_parquet,
    sealed_json,
    sealed_parquet,
    tail_bytes,
)
from kpe_core.store.shapes import require_shape
from kpe_core.urls import require_no_credentials

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore


NO_CACHE = {"use_listings_cache": False}
"""For fsspec, which would remember what a folder held."""
COPY_BYTES = 8 * 2**20
"""Of one object's piece, while it is copied or compared; few of them are in memory at a time."""
_IN_PARTS = {"chunksize": COPY_BYTES, "max_concurrency": 2}


@dataclass(frozen=True)
class StoredObject:
    """One object of a store: its path there, its size in bytes, when it was written (seconds since 1970)."""

    path: str
    size: int
    modified: float


class Store:
    """Bytes, JSON and Parquet under one root. Paths are relative, with forward slashes."""

    def __init__(self, url: str) -> None:
        require_no_credentials(url)
        try:
            # Other processes write, too: what was listed a moment ago says nothing about now.
            self.fs, root = fsspec.core.url_to_fs(url, **NO_CACHE)
        except (ImportError, ValueError) as error:
            raise UserError(f"store {url!r} cannot be opened: {error}. Object stores need the extra `s3`") from None
        self.is_local = isinstance(self.fs, LocalFileSystem)
        self.root = os.path.abspath(root) if self.is_local else root.rstrip("/")
        self.url = self.root if self.is_local else url.rstrip("/")

    # -- opening -------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, url: str) -> "Store":
        """An existing store, of any numerics version, for reading.

        Raises
        ------
        UserError
            when there is none, or its format is not this version's.
        """
        store = cls(url)
        if not store.exists("store.json"):
            raise UserError(f"no store at {store.url}; `kpe run STUDY --store {url}` makes one")
        told = store.about()
        found = told["format"]
        if found > FORMAT_VERSION:
            needs = f"kpe-pipeline {told['needs']} or later does" if "needs" in told else "a later version does"
            raise UserError(
                f"{store.url} has store format {found}, which this version, {version('kpe-pipeline')}, does not read; "
                f"{needs} (`git pull` and `make run` bring a checkout up to date)"
            )
        if found < FORMAT_VERSION:
            raise UserError(
                f"{store.url} has store format {found}, and this version reads format {FORMAT_VERSION}: "
                f"`kpe upgrade --store {store.url} --to NEW` makes a new store of it, with the same numbers"
            )
        return store

    def about(self) -> dict[str, Any]:
        """``format`` and ``numerics``, of a store of any format; since format 4 also the version it ``needs``.

        Raises
        ------
        StoreDamaged
            when ``store.json`` does not tell.
        """
        try:
            found = dict(json.loads(self.read("store.json")))
            sha256 = found.pop("sha256", None)
            whole = all(type(found[name]) is int for name in ("format", "numerics")) and (
                found["format"] < SEALED_SINCE or sha256 == canonical_digest(found)
            )
        except (ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            raise StoreDamaged(
                f"{self.path('store.json')} is not what was written there; `kpe verify --repair` writes it anew"
            )
        return found

    def write_about(self, numerics: int = NUMERICS_VERSION) -> None:
        """Say of which format and numerics version the store is: in the open, since other versions read it, too."""
        told = {"format": FORMAT_VERSION, "numerics": numerics, "needs": FORMAT_SINCE}
        self.write("store.json", json.dumps(told | {"sha256": canonical_digest(told)}, indent=1).encode())

    @classmethod
    def create_or_open(cls, url: str) -> "Store":
        """The store at ``url``, made if there is none, for writing.

        Raises
        ------
        UserError
            when the folder cannot be written, or holds another numerics version's numbers.
        """
        store = cls(url)
        if not store.exists("store.json"):
            try:
                store.write_about()
            except OSError as error:
                raise UserError(
                    f"cannot write to the store {store.url}: {error.strerror or error}. "
                    "Choose a folder you may write to with --store"
                ) from None
            return store
        store = cls.open(url)
        if store.is_local and not os.access(store.root, os.W_OK):
            raise UserError(f"cannot write to the store {store.url}: it is read-only. Choose another with --store")
        found = store.about()["numerics"]
        if found != NUMERICS_VERSION:
            raise UserError(
                f"{store.url} holds numbers of numerics version {found}; this version computes version "
                f"{NUMERICS_VERSION}, and the two must not be mixed. Choose another folder with --store"
            )
        return store

    # -- objects -------------------------------------------------------------------------------------------------

    def path(self, *parts: str) -> str:
        """Full path of an object in the file system's own spelling."""
        return "/".join((self.root, *parts))

    def address(self, path: str) -> str:
        """Where people, browsers and other programs find an object: a path, or a URL."""
        return f"{self.url}/{path}"

    def exists(self, path: str) -> bool:
        return bool(self.fs.exists(self.path(path)))

    def list(self, folder: str) -> list[str]:
        """Names in ``folder``, sorted; none where it does not exist. Temporary names are left out."""
        try:
            entries = self.fs.ls(self.path(folder), detail=False)
        except FileNotFoundError:
            return []
        names = sorted(e.rstrip("/").rsplit("/", 1)[-1] for e in entries)
        return [n for n in names if not n.endswith(PARTIAL)]

    def objects(self, folder: str) -> tuple[StoredObject, ...]:
        """Every object below ``folder``, temporary ones too, sorted by path; none where it does not exist."""
        try:
            found = self.fs.find(self.path(folder), detail=True)
        except FileNotFoundError:
            return ()
        start = len(self.path(""))
        return tuple(
            StoredObject(name[start:], int(info.get("size") or 0), _modified(info))
            for name, info in sorted(found.items())
        )

    def read(self, path: str) -> bytes:
        try:
            return bytes(self.fs.cat_file(self.path(path)))
        except FileNotFoundError:
            raise StoreDamaged(f"{self.path(path)} is missing") from None

    def write(self, path: str, data: bytes) -> None:
        """Write an object whole or not at all."""
        target = self.path(path)
        if not self.is_local:
            self.fs.pipe_file(target, data)
            return
        with whole(target) as f:
            f.write(data)

    def write_first(self, path: str, data: bytes) -> None:
        """The same, unless it is there already: of several writers on an object store, the first one's stays.

        On disk they hold a lock (``lock``).
        """
        if self.is_local:
            if not self.exists(path):
                self.write(path, data)
            return
        with contextlib.suppress(FileExistsError):
            self.fs.pipe_file(self.path(path), data, mode="create")

    def receive(self, source: "Store", path: str) -> None:
        """Copy one object from another store to the same path here, whole or not at all, a piece at a time.

        Raises
        ------
        StoreDamaged
            when it is not there.
        """
        theirs, ours = source.path(path), self.path(path)
        try:
            if self.is_local:
                with source.fs.open(theirs, "rb", block_size=COPY_BYTES) as piece, whole(ours) as f:
                    shutil.copyfileobj(piece, f, COPY_BYTES)
            elif source.is_local:
                self.fs.put_file(theirs, ours, **_IN_PARTS)
            elif source.fs is self.fs:  # the same server, which copies by itself
                self.fs.cp_file(theirs, ours)
            else:
                with tempfile.NamedTemporaryFile() as between:
                    source.fs.get_file(theirs, between.name)
                    self.fs.put_file(between.name, ours, **_IN_PARTS)
        except FileNotFoundError:
            raise StoreDamaged(f"{theirs} is missing") from None

    def holds_same(self, source: "Store", path: str) -> bool:
        """Whether the object of that path has the same bytes in both stores; a piece at a time."""
        with (
            source.fs.open(source.path(path), "rb", block_size=COPY_BYTES) as theirs,
            self.fs.open(self.path(path), "rb", block_size=COPY_BYTES) as ours,
        ):
            while piece := theirs.read(COPY_BYTES):
                if piece != ours.read(len(piece)):
                    return False
            return not ours.read(1)

    def remove(self, path: str) -> None:
        """Remove an object or a folder; nothing happens where there is none."""
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm(self.path(path), recursive=True)

    # -- JSON and Parquet ----------------------------------------------------------------------------------------

    # Each carries its own checksum (sealed.py): a damaged one is never taken for what was written.

    def read_json(self, path: str) -> Any:
        """
        Raises
        ------
        StoreDamaged
            when the object is missing, not what was written there, or not of the shape that objects of its name have.
        """
        data = self.read(path)
        with self._named(path):
            value = opened_json(data)
            try:
                require_shape(path, value)
            except ValueError as error:
                raise Broken(f"is not what was written there: {error}") from None
        return value

    def write_json(self, path: str, value: Any) -> None:
        self.write(path, sealed_json(value))

    def read_table(self, path: str) -> pa.Table:
        try:
            return pq.read_table(io.BytesIO(self.read_parquet(path)))
        except (pa.ArrowInvalid, OSError) as error:
            raise StoreDamaged(f"{self.path(path)} is not a readable Parquet file: {error}") from None

    def write_table(self, path: str, table: pa.Table) -> None:
        sink = io.BytesIO()
        pq.write_table(table, sink, **PARQUET)
        self.write_parquet(path, sink.getvalue())

    def write_parquet(self, path: str, data: bytes) -> None:
        """Write a whole Parquet file, made with ``PARQUET``'s options, with its seal."""
        self.write(path, sealed_parquet(data))

    def read_parquet(self, path: str) -> bytes:
        """A whole Parquet file, checked."""
        data = self.read(path)
        with self._named(path):
            require_parquet(data)
        return data

    def require_footer(self, path: str) -> None:
        """That a Parquet file's footer is as it was written; reads little more than that.

        Raises
        ------
        StoreDamaged
            when it is not.
        """
        where = self.path(path)
        try:
            with self._named(path):
                size = tail_bytes(self.fs.cat_file(where, start=-8))
                require_footer(self.fs.cat_file(where, start=-size))
        except FileNotFoundError:
            raise StoreDamaged(f"{where} is missing") from None
        except (OSError, ValueError) as error:  # no file is as long as its last bytes say
            raise StoreDamaged(f"{where} is not a readable Parquet file: {error}") from None

    @contextlib.contextmanager
    def _named(self, path: str) -> Iterator[None]:
        try:
            yield
        except Broken as broken:
            raise StoreDamaged(f"{self.path(path)} {broken}; `kpe verify` says what else is damaged") from None

    # -- Zarr -----------------------------------------------------------------------------------------------------

    def zarr(self, path: str, read_only: bool = False) -> "ZarrStore":
        """The Zarr store rooted at ``path``."""
        from zarr.storage import FsspecStore, LocalStore

        if self.is_local:
            return LocalStore(self.path(path), read_only=read_only)
        return FsspecStore.from_url(f"{self.url}/{path}", storage_options=NO_CACHE, read_only=read_only)

    def write_group(self, path: str, group: Callable[["ZarrStore"], None]) -> dict[str, str]:
        """Write the Zarr group that ``group`` lays out, object by object, over whatever is there and with nothing removed:
        a second writer of the same group takes nothing from the first.

        Returns the SHA-256 of every object, by its path in the group.
        """
        from zarr.core.buffer import Buffer
        from zarr.storage import MemoryStore

        objects: dict[str, Buffer] = {}
        group(MemoryStore(objects))
        for name, data in sorted(objects.items(), reverse=True):  # the group's own zarr.json after its arrays
            self.write(f"{path}/{name}", data.to_bytes())
        return {name: hashlib.sha256(data.to_bytes()).hexdigest() for name, data in objects.items()}

    def settle(self) -> None:
        """Bring what Zarr wrote to the disk, before anything says that it is there. Object stores keep what they took.

        Raises
        ------
        OSError
            when the disk did not take it.
        """
        if self.is_local:
            settle(self.root)

    # -- one at a time -------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lock(self, name: str, wait: bool, shared: bool = False) -> Iterator[bool]:
        """Hold the named lock; yields False when another process holds it and ``wait`` is false.

        ``shared``: others may share it meanwhile, and nobody hold it alone. The operating system drops it with the
        process, however that ends. Object stores have no such lock: there, whole objects with equal content make a
        second writer wasteful but harmless.
        """
        if not self.is_local:
            yield True
            return
        import fcntl

        os.makedirs(self.path("locks"), exist_ok=True)
        with open(self.path("locks", f"{name}.lock"), "w+") as f:
            try:
                fcntl.flock(f, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True


def _modified(info: dict[str, Any]) -> float:
    """When an object was written, by whatever name its file system tells; now where it does not, which is never old."""
    for name in ("mtime", "LastModified", "updated", "last_modified", "created"):
        if (told := info.get(name)) is not None:
            return float(told.timestamp() if isinstance(told, datetime) else told)
    return time.time()
