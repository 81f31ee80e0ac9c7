"""Keeps one Prefect server for as long as anybody uses it: ``python -m flows.keeper FOLDER HOST PORT``.

A process of its own, so that no user's end, not even by SIGKILL, takes the server from the others or leaves it behind.
"""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

RECORD = "server.json"
LOG = "server.log"
USERS = "users.lock"
"""Held shared by every user."""

STOP_SECONDS = 10.0


def keep(folder: Path, host: str, port: str) -> int:
    """Run the server until nobody holds its lock; the server's exit status."""
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", port]
    with open(folder / LOG, "wb") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )  # fmt: skip
    threading.Thread(target=_stop_when_unused, args=(folder, server), daemon=True).start()
    status = server.wait()
    (folder / RECORD).unlink(missing_ok=True)
    return status


def _stop_when_unused(folder: Path, server: "subprocess.Popen[bytes]") -> None:
    # Held until this process ends: who wants a server meanwhile waits for it, and then starts another.
    users = os.open(folder / USERS, os.O_RDWR | os.O_CREAT)
    fcntl.flock(users, fcntl.LOCK_EX)
    server.send_signal(signal.SIGINT)
    time.sleep(STOP_SECONDS)
    server.kill()


def _die_with_parent() -> None:
    """Let the kernel stop the server when its keeper dies, however it dies."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


if __name__ == "__main__":
    folder, host, port = sys.argv[1:]
    sys.exit(keep(Path(folder), host, port))
