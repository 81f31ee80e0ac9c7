"""One Prefect server for one command: the configured one, the store's running one, or a new one."""

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from flows import database
from flows.keeper import LOG, RECORD, USERS
from flows.keeper import __file__ as keeper_file
from kpe_core.errors import UserError
from kpe_core.store.store import Store
from kpe_core.urls import without_credentials

HOST = "127.0.0.1"
PORT = 4200
START_SECONDS = 120.0
STOP_SECONDS = 15.0
BUSY_SECONDS = 30.0

STARTING = "starting.lock"
DATABASE = "prefect.db"

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_CLI_PROMPT": "false",
}
"""No telemetry, and no log lines between the progress bar's: they go to the server."""


def home(store: Store) -> Path:
    """Where the local server keeps its database, so that past runs are there tomorrow."""
    return Path(store.root, "prefect") if store.is_local else Path.home() / ".kpe" / "prefect"


def prefect_server(store: Store) -> AbstractContextManager[str]:
    """The API's URL, exported to this process and to those it starts then. Before Prefect is imported.

    Raises
    ------
    UserError
        at once when the configured server does not answer; when entered, if none can be started.
    """
    os.environ.update({k: v for k, v in QUIET.items() if k not in os.environ})
    if url := os.environ.get("PREFECT_API_URL"):
        require_answer(url)
        return contextlib.nullcontext(url)
    os.environ["PREFECT_HOME"] = str(home(store))
    return _exported(home(store))


def flush() -> None:
    """Send what Prefect still holds back, logs and events, while there is a server to send it to.

    At the end of a server or of a process, not after each study: Prefect keeps what it drained, and starts anew.
    """
    if "prefect" not in sys.modules:
        return
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=5)
    EventsWorker.drain_all(timeout=5)


@contextlib.contextmanager
def _exported(folder: Path) -> Iterator[str]:
    with shared_server(folder) as url:
        os.environ["PREFECT_API_URL"] = url
        try:
            yield url
        finally:
            flush()
            del os.environ["PREFECT_API_URL"]


@contextlib.contextmanager
def shared_server(folder: Path) -> Iterator[str]:
    """The server over the database in ``folder``, on a loopback port: the running one, or a new one.

    It stops with its last user, however that ends: users share a lock, which a keeper process waits for
    (``flows.keeper``). Whoever leaves last waits until it has stopped.

    Raises
    ------
    UserError
        when it does not answer within START_SECONDS; names its log.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / USERS, "a") as users:
        with open(folder / STARTING, "a") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_SH)
            url = running_url(folder) or _start(folder)
        try:
            yield url
        finally:
            fcntl.flock(users, fcntl.LOCK_UN)
            _wait_until_stopped(folder, users)


def _start(folder: Path) -> str:
    begun = database.begin(folder / DATABASE)
    for port in _free_ports():
        url = f"http://{HOST}:{port}/api"
        keeper = subprocess.Popen(
            [sys.executable, "-P", keeper_file, str(folder), HOST, str(port)], start_new_session=True,
            env=os.environ | QUIET | _settings(folder, url), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while keeper.poll() is None and time.monotonic() < deadline:
            if _serves(url, folder):
                if not begun:
                    database.keep(folder / DATABASE)
                (folder / RECORD).write_text(json.dumps({"url": url, "pid": keeper.pid}))
                return url
            time.sleep(0.2)
        keeper.terminate()
    raise UserError(f"the Prefect server did not start; its log is {folder / LOG}")


def _settings(folder: Path, url: str) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / DATABASE}",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        # Without it the pages ask whichever server has the usual port.
        "PREFECT_SERVER_UI_API_URL": url,
    }


def running_url(folder: Path) -> str | None:
    """The URL of the server that runs over this folder's database; None where none answers."""
    try:
        record = json.loads((folder / RECORD).read_text())
        url, keeper = str(record["url"]), int(record["pid"])
    except (OSError, ValueError, KeyError):
        return None
    deadline = time.monotonic() + BUSY_SECONDS
    while not (serves := _serves(url, folder)) and _is_alive(keeper) and time.monotonic() < deadline:
        time.sleep(0.2)
    return url if serves else None


def ui_url(api_url: str) -> str:
    """Where the pages are, to be printed and kept."""
    return str(without_credentials(api_url.removesuffix("/api")))


def require_answer(url: str) -> None:
    """
    Raises
    ------
    UserError
        when no Prefect server answers there.
    """
    if not answers(url):
        raise UserError(
            f"the configured Prefect server {without_credentials(url)} does not answer; start it, or unset "
            "PREFECT_API_URL (a user and password go into PREFECT_API_AUTH_STRING)"
        )


def answers(url: str) -> bool:
    """Whether a Prefect server does."""
    return _get(f"{url}/health") is not None


def _serves(url: str, folder: Path) -> bool:
    """Whether it answers, and from this folder: another's server may have taken the port just before."""
    settings = _get(f"{url}/admin/settings")
    return isinstance(settings, dict) and Path(settings.get("home", "")).resolve() == folder.resolve()


def _get(url: str) -> object:
    """What is answered there, never None; None where nothing is."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return json.load(response) if response.status == 200 else None
    except (urllib.error.URLError, OSError, ValueError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _free_ports() -> Iterator[int]:
    """The usual port, then any: who else wants a port may be faster, so there are several tries."""
    for port in (PORT, 0, 0):
        with socket.socket() as s, contextlib.suppress(OSError):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((HOST, port))
            free = int(s.getsockname()[1])
            s.close()
            yield free


def _wait_until_stopped(folder: Path, users: IO[str]) -> None:
    """Return at once when others use it, or else when its keeper has stopped it."""
    deadline = time.monotonic() + STOP_SECONDS
    while (folder / RECORD).exists() and time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(users, fcntl.LOCK_UN)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody else, and the keeper yet to wake
                fcntl.flock(users, fcntl.LOCK_UN)
                time.sleep(0.05)
                continue
            return
        time.sleep(0.05)
