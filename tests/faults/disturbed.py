"""A study small enough to be disturbed often, and the real processes that run it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from kpe_core.stages.verify import damages
from kpe_core.store.store import Store
from tests.same import assert_same_numbers

STUDY = """
name: disturbed
title: Small enough to be disturbed often
experiments:
  - name: planar
    data: {name: dense_sparse, n_train: 100}
    fields: {kind: exact}
    sampling: {n_samples: 120, nfe: 10, batch: 20, states: {keep: every, every: 5}}
  - name: learnt
    data: {name: dense_sparse, n_train: 100}
    fields: {kind: mlp, width: 8, depth: 1, steps: 600, batch: 16}
    sampling: {n_samples: 60, nfe: 10, batch: 20, shapings: [{}, {beta0: 0.02}]}
    measure: {bootstrap: 100}
"""
PATIENCE = 240.0
"""Seconds after which a run that has not ended counts as hung, and is ended."""
BEGUN = ("trajectories", "weights")
"""Folders of a store that say that a run has come to its work."""
COMMITTED = ("trajectories/*/shards/*.json", "weights/*/card.json", "runs/*/manifest.json")


@dataclass
class Running:
    """One ``kpe run`` of the study, in a session of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def workers(self) -> list[int]:
        """Its Dask workers."""
        return [pid for pid in children(self.pid) if b"spawn_main" in command_of(pid)]

    def wait(self, seconds: float = PATIENCE) -> int | None:
        """The exit code; None where it had to be killed because it did not end."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.end()
            return None

    def end(self) -> None:
        """Kill all of it."""
        for pid in [*children(self.pid), self.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def said(self) -> str:
        return self.log.read_text(errors="replace")


@dataclass
class Setting:
    """Where and how the study is run."""

    folder: Path
    store: str
    environment: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ("--workers", "2")
    prefix: tuple[str, ...] = ()
    commits: ClassVar[tuple[str, ...]] = COMMITTED

    def start(self) -> Running:
        study = self.folder / "disturbed.yaml"
        study.write_text(STUDY)
        log = self.folder / f"run-{time.monotonic_ns()}.log"
        command = [
            *self.prefix, sys.executable, "-m", "flows.cli", "run", str(study), "--store", self.store,
            "--shard-size", "20", *self.options,
        ]  # fmt: skip
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, env=inherited | self.environment, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return Running(process, log)

    def to_the_end(self) -> Running:
        """A run that has to go well."""
        running = self.start()
        code = running.wait()
        assert code == 0, f"ended with {code}:\n{running.said()[-4000:]}"
        return running

    def assert_same_as(self, reference: Path) -> None:
        """That the store holds the reference's numbers, and the same findings made of them."""
        a, b = Store.open(str(reference)), Store.open(self.store)
        assert_same_numbers(a, b)
        findings = "studies/disturbed/findings.json"
        assert a.read(findings) == b.read(findings), "findings differ"

    def is_damaged(self) -> bool:
        """Whether `kpe verify` says so."""
        store = Store.open(self.store)
        return any(True for run_id in store.list("runs") for _ in damages(store, run_id))

    def committed(self) -> dict[str, int]:
        """What of a store on disk is said to be whole, with its date in nanoseconds."""
        found = [path for pattern in self.commits for path in Path(self.store).glob(pattern)]
        return {str(path): path.stat().st_mtime_ns for path in found if path.exists()}


def await_work(running: Running, store: Path) -> bool:
    """Wait until the run has come to its work; False where it ended before."""
    return await_that(lambda: any((store / name).exists() for name in BEGUN), running)


def await_that(what: Callable[[], bool], running: Running, seconds: float = PATIENCE) -> bool:
    deadline = time.monotonic() + seconds
    while not what():
        if running.process.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def children(pid: int) -> list[int]:
    """All processes that descend from ``pid``."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {pid})


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
