"""One Prefect server for one command: the configured one, the store's running one, or a new one."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from kpe_core.errors import UserError
from kpe_core.store.store import Store

HOST = "127.0.0.1"
PORT = 4200
START_SECONDS = 120.0

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


@contextlib.contextmanager
def prefect_server(store: Store) -> Iterator[str]:
    """The API's URL, exported to this process and to the workers it starts. Set before Prefect is imported."""
    os.environ.update({k: v for k, v in QUIET.items() if k not in os.environ})
    if url := os.environ.get("PREFECT_API_URL"):
        require_answer(url)
        yield url
        return
    os.environ["PREFECT_HOME"] = str(home(store))
    running = running_url(home(store))
    with contextlib.ExitStack() as stack:
        url = running or stack.enter_context(start(home(store)))
        os.environ["PREFECT_API_URL"] = url
        try:
            yield url
        finally:
            del os.environ["PREFECT_API_URL"]


@contextlib.contextmanager
def start(folder: Path) -> Iterator[str]:
    """Start a server on a loopback port over the database in ``folder``; it stops with the block, or with this process.

    Raises
    ------
    UserError
        when it does not answer within START_SECONDS; names its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    url = f"http://{HOST}:{port}/api"
    environment = os.environ | QUIET | {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        # Without it the pages ask whichever server has the usual port.
        "PREFECT_SERVER_UI_API_URL": url,
    }  # fmt: skip
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True, preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )  # fmt: skip
    record = folder / "server.json"
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise UserError(f"the Prefect server did not start; its log is {folder / 'server.log'}")
            time.sleep(0.2)
        record.write_text(json.dumps({"url": url, "pid": process.pid}))
        yield url
    finally:
        record.unlink(missing_ok=True)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()


def running_url(folder: Path) -> str | None:
    """The URL of the server that runs over this folder's database; None where none answers."""
    try:
        url = str(json.loads((folder / "server.json").read_text())["url"])
    except (OSError, ValueError, KeyError):
        return None
    return url if _answers(url) else None


def ui_url(api_url: str) -> str:
    return api_url.removesuffix("/api")


def require_answer(url: str) -> None:
    """
    Raises
    ------
    UserError
        when no Prefect server answers there.
    """
    if not _answers(url):
        raise UserError(f"the configured Prefect server {url} does not answer; start it, or unset PREFECT_API_URL")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _free_port() -> int:
    """The usual port, or any free one."""
    for port in (PORT, 0):
        with socket.socket() as s, contextlib.suppress(OSError):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((HOST, port))
            return int(s.getsockname()[1])
    raise UserError(f"no free port on {HOST} for the Prefect server")


def _die_with_parent() -> None:
    """Let the kernel stop the server when this process dies, however it dies."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
