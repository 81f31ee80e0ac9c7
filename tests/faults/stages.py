"""The same study by all its stages in one process, without Prefect, Dask and Great Expectations: many trials
in little time.

The process is forked from this one, which has imported everything and computed nothing: what it would have computed
with, threads and locks, does not survive a fork.
"""

import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kpe_core.store.store import Store
from tests.faults.disturbed import COMMITTED, Running, Setting
from tests.same import assert_same_numbers

PATIENCE = 60.0


class Forked:
    """A process of this program's own; as much of Popen as is needed."""

    def __init__(self, work: Callable[[], object], log: Path, environment: dict[str, str], recorder: list[str]) -> None:
        self.returncode: int | None = None
        go, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(tell)
            _become(work, log, environment, go)
        os.close(go)
        if recorder:
            _attach(recorder, self.pid)
        os.close(tell)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = time.monotonic() + (timeout or float("inf"))
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("stages", timeout or 0.0)
            time.sleep(0.01)
        return code


def _become(work: Callable[[], object], log: Path, environment: dict[str, str], go: int) -> None:
    code = 1
    try:
        os.setsid()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.environ.update(environment)
        os.read(go, 1)  # ends when the other side is closed
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _attach(recorder: list[str], pid: int) -> None:
    """Start what records system calls, and wait until it does."""
    # --seccomp-bpf cannot be had for a process that runs already.
    words = [word for word in recorder if word != "--seccomp-bpf"]
    subprocess.Popen([*words, "-p", str(pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text():
        time.sleep(0.005)


class Stages(Setting):
    """Where and how; what a `kpe run` would be told and has no meaning here is ignored."""

    commits = COMMITTED[:2]  # the manifest is written again each time

    def start(self) -> Running:
        log = self.folder / f"run-{time.monotonic_ns()}.log"
        process: Any = Forked(self._run, log, self.environment, list(self.prefix))
        return OneProcess(process, log)

    def _run(self) -> None:
        from kpe_core.study.load import load_study
        from tests.conftest import run_serially
        from tests.faults.disturbed import STUDY

        study = self.folder / "disturbed.yaml"
        study.write_text(STUDY)
        run_serially(load_study(str(study)), Store.create_or_open(self.store), shard_size=20)

    def assert_same_as(self, reference: Path) -> None:
        def compare() -> None:
            assert_same_numbers(Store.open(str(reference)), Store.open(self.store))
            assert not super(Stages, self).is_damaged()

        log = self.folder / "compared.log"
        assert Forked(compare, log, {}, []).wait() == 0, log.read_text()

    def is_damaged(self) -> bool:
        def look() -> None:
            assert super(Stages, self).is_damaged()

        return Forked(look, self.folder / "looked.log", {}, []).wait() == 0


class OneProcess(Running):
    def wait(self, seconds: float = PATIENCE) -> int | None:
        return super().wait(seconds)

    def workers(self) -> list[int]:
        """It does the work itself."""
        return [self.pid]


def preload() -> None:
    """Import what every trial needs, and start nothing."""
    import torch._dynamo  # noqa: F401

    import tests.conftest  # noqa: F401
