"""Faults of the machine: processes that die or stop, disks that fill or refuse, memory that ends, clocks that jump."""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.faults.disturbed import Running, Setting, await_that, await_work, children, command_of

SECONDS_STOPPED = 8.0
IMPATIENT = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "3 seconds"}
CLOCK = Path(__file__).with_name("clock.c")


class CannotBeTried(Exception):
    """This machine lacks what the fault needs. Says what."""


class Missed(Exception):
    """The run ended before its moment came: no trial."""


def kill_worker(setting: Setting, moment: float, chance: random.Random) -> Running:
    """One worker dies by SIGKILL."""
    running = _at(setting, moment)
    if workers := running.workers():
        _signal(chance.choice(workers), signal.SIGKILL)
    return running


def kill_workers(setting: Setting, moment: float, chance: random.Random) -> Running:
    """All workers die by SIGKILL."""
    running = _at(setting, moment)
    for pid in running.workers():
        _signal(pid, signal.SIGKILL)
    return running


def kill_driver(setting: Setting, moment: float, chance: random.Random) -> Running:
    """The driver dies by SIGKILL; its workers are left to themselves."""
    running = _at(setting, moment)
    orphans = running.workers()
    _signal(running.pid, signal.SIGKILL)
    running.process.wait()
    deadline = time.monotonic() + 60
    while any(b"spawn_main" in command_of(pid) for pid in orphans):
        assert time.monotonic() < deadline, f"workers {orphans} outlive their driver"
        time.sleep(0.1)
    return running


def kill_everything(setting: Setting, moment: float, chance: random.Random) -> Running:
    """Driver and workers die by SIGKILL at once."""
    running = _at(setting, moment)
    running.end()
    return running


def kill_server(setting: Setting, moment: float, chance: random.Random) -> Running:
    """The Prefect server, which this run started, and its keeper die by SIGKILL."""
    own = {k: v for k, v in setting.environment.items() if k != "PREFECT_API_URL"}
    running = _at(replace(setting, environment=own), moment)
    folder = os.fsencode(str(Path(setting.store, "prefect")))
    for pid in [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]:
        words = command_of(pid).split(b"\0")
        if folder in words and any(word.endswith(b"keeper.py") for word in words):
            for each in [pid, *children(pid)]:
                _signal(each, signal.SIGKILL)
    return running


@contextlib.contextmanager
def scheduler_elsewhere(setting: Setting) -> Iterator[tuple[Setting, subprocess.Popen[bytes]]]:
    """The setting with a Dask scheduler and two workers in processes of their own."""
    with contextlib.ExitStack() as stack:
        said = setting.folder / f"scheduler-{time.monotonic_ns()}.json"
        environment = os.environ | setting.environment

        def start(*command: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [sys.executable, "-m", *command], env=environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            stack.callback(_end_group, process)
            return process

        scheduler = start(
            "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
            "--scheduler-file", str(said),
        )  # fmt: skip
        start(
            "distributed.cli.dask_worker", "--scheduler-file", str(said), "--nworkers", "2", "--nthreads", "1",
            "--no-dashboard", "--death-timeout", "20",
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while not said.exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        profile = setting.folder / "elsewhere.yaml"
        profile.write_text(f"kind: address\naddress: {json.loads(said.read_text())['address']}\n")
        yield replace(setting, options=("--cluster", str(profile))), scheduler


def kill_scheduler(setting: Setting, moment: float, chance: random.Random) -> Running:
    """The Dask scheduler, a process elsewhere, dies by SIGKILL."""
    with scheduler_elsewhere(setting) as (there, scheduler):
        running = _at(there, moment)
        scheduler.kill()
        running.wait()
    return running


def stop_worker(setting: Setting, moment: float, chance: random.Random) -> Running:
    """A worker stops, by SIGSTOP, for longer than the scheduler waits for its heartbeat, and then goes on."""
    running = _at(replace(setting, environment=setting.environment | IMPATIENT), moment)
    if workers := running.workers():
        pid = chance.choice(workers)
        _signal(pid, signal.SIGSTOP)
        time.sleep(SECONDS_STOPPED)
        _signal(pid, signal.SIGCONT)
    return running


def end_memory(setting: Setting, moment: float, chance: random.Random) -> Running:
    """A worker gets no more address space than it has."""
    running = _at(setting, moment)
    if workers := running.workers():
        pid = chance.choice(workers)
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            has = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
            resource.prlimit(pid, resource.RLIMIT_AS, (has, has))
    return running


def fill_disk(setting: Setting, moment: float, chance: random.Random) -> Running:
    """The store's disk, a small one, is filled; afterwards there is room again."""
    running = _at(setting, moment)
    filler = Path(setting.store, "somebody-elses.data")
    with contextlib.suppress(OSError), filler.open("wb") as f:
        # A page is left at times, so that a small object fits where a larger one does not.
        while True:
            f.write(bytes(4096))
            f.flush()
    if chance.random() < 0.5:
        with contextlib.suppress(OSError):
            os.truncate(filler, max(0, filler.stat().st_size - 4096 * chance.randrange(1, 8)))
    running.wait()
    filler.unlink(missing_ok=True)
    return running


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int = 16) -> Iterator[Path]:
    """A file system of its own, in memory."""
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        raise CannotBeTried(f"mounting needs root: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def take_permission(setting: Setting, moment: float, chance: random.Random) -> Running:
    """Folders of the store may no longer be written to; afterwards they may again."""
    running = _at(setting, moment)
    if shutil.which("chattr") is None or _immutable(setting.store, "+i"):
        running.end()
        raise CannotBeTried("chattr +i needs root and ext4 or the like")
    try:
        running.wait()
    finally:
        _immutable(setting.store, "-i")
    return running


def _immutable(store: str, change: str) -> int:
    """Directories only: nothing can be made in them, renamed or removed, not even by root."""
    folders = [
        p for name in ("trajectories", "runs", "weights") for p in [Path(store, name), *Path(store, name).rglob("*")]
    ]
    there = [str(p) for p in folders if p.is_dir()]
    return subprocess.run(["chattr", change, *there], capture_output=True).returncode if there else 0


def jump_clock(setting: Setting, moment: float, chance: random.Random) -> Running:
    """The wall clock jumps ahead by up to two days, for all processes of the run, as when a laptop wakes."""
    return _move_clock(setting, moment, chance.randrange(3600, 172800))


def correct_clock(setting: Setting, moment: float, chance: random.Random) -> Running:
    """The wall clock is set back by up to half a minute, as when its time is synchronised."""
    return _move_clock(setting, moment, -chance.randrange(1, 30))


def set_back_clock(setting: Setting, moment: float, chance: random.Random) -> Running:
    """The wall clock is set back by up to two days, for all processes of the run."""
    return _move_clock(setting, moment, -chance.randrange(3600, 172800))


def _move_clock(setting: Setting, moment: float, seconds: int) -> Running:
    library, moved = setting.folder / "clock.so", setting.folder / "clock"
    if shutil.which("cc") is None:
        raise CannotBeTried("a C compiler is needed")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(CLOCK), "-ldl"], check=True)
    moved.write_bytes(bytes(8))
    preloaded = {"LD_PRELOAD": str(library), "KPE_CLOCK_MOVED": str(moved)}
    running = _at(replace(setting, environment=setting.environment | preloaded), moment)
    with moved.open("r+b") as f:
        f.write(seconds.to_bytes(8, sys.byteorder, signed=True))
    return running


def copy_meanwhile(setting: Setting, moment: float, chance: random.Random) -> Running:
    """Its store is copied by ``cp -r`` while it runs; the study is then run again in the copy as well, which
    is the same, or damaged by what was renamed meanwhile: then `kpe verify` must name it."""
    running = _at(setting, moment)
    copied = setting.folder / "copied"
    subprocess.run(["cp", "-r", setting.store, str(copied)], capture_output=True)
    shutil.rmtree(copied / "prefect", ignore_errors=True)
    return running


def _at(setting: Setting, moment: float) -> Running:
    """A run, ``moment`` seconds after it came to its work.

    Raises
    ------
    Missed
        when it ended before that.
    """
    running = setting.start()
    if await_work(running, Path(setting.store)):
        until = time.monotonic() + moment
        await_that(lambda: time.monotonic() > until, running)
    if running.process.poll() is not None:
        raise Missed(f"the run ended with {running.process.returncode} before its moment came")
    return running


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
