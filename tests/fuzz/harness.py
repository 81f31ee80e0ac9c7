"""Throws inputs at an entry point and counts what came of them: an answer, a refusal in a sentence, or a misbehaviour.

Every input is made from a seed and its number alone, so that a misbehaviour is named by two numbers.
"""

import os
import random
import resource
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kpe_core.errors import NumericalTrouble, QualityFailed, StoreDamaged, UserError

TOLD = (UserError, StoreDamaged, NumericalTrouble, QualityFailed)
"""What may come out of an entry point: sentences for the user."""
SECONDS_EACH = 10.0
"""After which an input counts as a hang."""
MEMORY = 4 * 2**30
"""Address space an input may take on top of what the process has."""
LONGEST = 4000
"""Characters of a message that anybody reads."""


class Hang(BaseException):
    """An input took too long."""


class Breach(BaseException):
    """An input wrote outside its folder, started a program or reached for the network."""


@dataclass
class Tally:
    """What came of a target's inputs."""

    name: str
    answered: int = 0
    refused: int = 0
    misbehaved: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[int, str]] = field(default_factory=dict)
    """By kind of misbehaviour the number of the first such input, and what happened."""

    @property
    def inputs(self) -> int:
        return self.answered + self.refused + self.misbehaved.total()

    def row(self) -> str:
        wrong = self.misbehaved.total()
        return f"{self.name:<12} {self.inputs:>9,} {self.answered:>9,} {self.refused:>9,} {wrong:>11,}"

    def details(self) -> str:
        return "\n".join(
            f"{self.name}: {n} × {kind}; first: input {self.first[kind][0]}\n{self.first[kind][1]}"
            for kind, n in self.misbehaved.most_common()
        )


HEADING = f"{'target':<12} {'inputs':>9} {'answered':>9} {'refused':>9} {'misbehaved':>11}"


@dataclass(frozen=True)
class Target:
    """``make`` draws an input; ``run`` gives it to the entry point. Whatever ``run`` writes belongs into ``folder``."""

    name: str
    make: Callable[[random.Random], Any]
    run: Callable[[Any], object]
    folder: Path


def attack(target: Target, seed: int, seconds: float | None = None, inputs: int | None = None) -> Tally:
    """Inputs 0, 1, … of a seed, for so many seconds or so many of them."""
    tally = Tally(target.name)
    end = time.monotonic() + seconds if seconds is not None else float("inf")
    number = 0
    with limited_memory(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while time.monotonic() < end and (inputs is None or number < inputs):
            judge(target, case(target, seed, number), number, tally)
            number += 1
    return tally


def case(target: Target, seed: int, number: int) -> Any:
    """The input of that number."""
    return made(target, random.Random(f"{target.name} {seed} {number}"))


def made(target: Target, chance: random.Random) -> Any:
    """An input, made with room for nesting that the entry point itself does not get."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        return target.make(chance)
    finally:
        sys.setrecursionlimit(limit)


def judge(target: Target, given: Any, number: int, tally: Tally) -> None:
    """Give the input to its entry point and count what came of it."""
    start = time.monotonic()
    try:
        with watched(target.folder) as breaches, alarm(SECONDS_EACH):
            try:
                target.run(given)
                told = None
            except TOLD as error:
                told = str(error)
        if breaches:
            raise Breach(breaches[0])
        if told is None:
            tally.answered += 1
        else:
            _require_readable(told)
            tally.refused += 1
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "fuzz" not in f.filename]
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
        ours = next((f for f in reversed(frames) if "site-packages" not in f.filename and "kpe" in f.filename), None)
        kind = f"{type(error).__name__} at {place}" + (f" by {Path(ours.filename).name}:{ours.lineno}" if ours else "")
        tally.misbehaved[kind] += 1
        told = f"  {str(error)[:400]}\n  {repr(given)[:1500]}\n  after {time.monotonic() - start:.1f} s"
        tally.first.setdefault(kind, (number, told))


def _require_readable(message: str) -> None:
    assert message.strip(), "an empty message"
    assert "Traceback" not in message, message[:500]
    assert len(message) <= LONGEST, f"a message of {len(message)} characters: {message[:200]}"


# -- limits ------------------------------------------------------------------------------------------------------------


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise Hang(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def limited_memory() -> Iterator[None]:
    """What would fill the machine becomes a MemoryError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


# -- what an input may touch -------------------------------------------------------------------------------------------

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate"}
PROGRAMS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pty.spawn", "ctypes.dlopen"}
NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.bind", "urllib.Request"}

_watch: dict[str, Any] = {"folder": None, "breaches": [], "hooked": False}


def _hook(event: str, args: tuple[Any, ...]) -> None:
    folder = _watch["folder"]
    if folder is None:
        return
    if event == "open":
        path, _, flags = args
        if isinstance(path, str | bytes) and isinstance(flags, int) and flags & WRITING:
            _require_inside(folder, event, path)
    elif event in CHANGES:
        for path in args[:2] if event in ("os.rename", "os.link", "os.symlink") else args[:1]:
            if isinstance(path, str | bytes | os.PathLike):
                _require_inside(folder, event, os.fspath(path))
    elif event in PROGRAMS or event in NETWORK:
        _watch["breaches"].append(f"{event} {args!r}"[:300])


def _require_inside(folder: str, event: str, path: str | bytes) -> None:
    place = os.path.realpath(os.fsdecode(path))
    if not (place + "/").startswith(folder + "/") and place != "/dev/null" and "__pycache__" not in place:
        _watch["breaches"].append(f"{event} of {place}")


@contextmanager
def watched(folder: Path) -> Iterator[list[str]]:
    """Tells of every file changed outside ``folder``, every program started and every connection, by Python's audit
    events."""
    if not _watch["hooked"]:
        sys.addaudithook(_hook)
        _watch["hooked"] = True
    _watch["breaches"] = []
    _watch["folder"] = os.path.realpath(folder)
    try:
        yield _watch["breaches"]
    finally:
        _watch["folder"] = None
