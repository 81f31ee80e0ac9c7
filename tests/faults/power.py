"""A power loss: all processes end at once, and the disk keeps what was brought to it, and nothing else.

The system calls of the run are recorded (``strace``). Of what it wrote, files that were not synced afterwards lose their
bytes, and names whose folder was not synced afterwards are lost: the worst that POSIX allows.
"""

import os
import random
import re
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.faults.disturbed import Running, Setting
from tests.faults.machine import CannotBeTried, _at

CALLS = "openat,creat,rename,renameat,renameat2,link,linkat,mkdir,mkdirat,fsync,fdatasync,syncfs,sync"
_CALL = re.compile(r"^\S+\s+(?:<\.\.\. )?(\w+)(?:\(| resumed>)")
_NAMES = re.compile(r'"([^"]*)"')
_OF_DESCRIPTOR = re.compile(r"\d+<([^>]*)>")


@dataclass
class Disk:
    """What of the files under ``root`` is not on the disk."""

    root: str
    unsynced_bytes: set[str] = field(default_factory=set)
    unsynced_names: set[str] = field(default_factory=set)

    def take(self, line: str) -> None:
        """One finished system call, as strace writes it with -y."""
        found = _CALL.match(line)
        if found is None or " = -1 " in line:
            return
        call = found.group(1)
        names, descriptors = _NAMES.findall(line), _OF_DESCRIPTOR.findall(line)
        if call in ("fsync", "fdatasync"):
            self._synced(descriptors[0])
        elif call in ("syncfs", "sync"):
            self.unsynced_bytes.clear()
            self.unsynced_names.clear()
        elif call.startswith("rename") or call.startswith("link"):
            old, new = names[-2:]
            if old in self.unsynced_bytes:
                self.unsynced_bytes.discard(old)
                self.unsynced_bytes.add(new)
            self.unsynced_names.discard(old)
            self._named(new)
        elif call.startswith("mkdir"):
            self._named(names[-1])
        elif "O_WRONLY" in line or "O_RDWR" in line or call == "creat":
            path = names[-1]
            if path.startswith(self.root):
                if not path.endswith(".lock"):
                    self.unsynced_bytes.add(path)
                if "O_CREAT" in line:
                    self._named(path)

    def _named(self, path: str) -> None:
        if path.startswith(self.root):
            self.unsynced_names.add(path)

    def _synced(self, path: str) -> None:
        self.unsynced_bytes.discard(path)
        self.unsynced_names -= {name for name in self.unsynced_names if os.path.dirname(name) == path}

    def lose(self) -> int:
        """Do it; the number of files and names lost."""
        lost = 0
        for path in sorted(self.unsynced_bytes):
            if os.path.isfile(path):
                os.truncate(path, 0)
                lost += 1
        for path in sorted(self.unsynced_names):
            if os.path.isdir(path):
                shutil.rmtree(path)
                lost += 1
            elif os.path.exists(path):
                os.unlink(path)
                lost += 1
        return lost


def recorder(log: Path) -> tuple[str, ...]:
    """The words before a command that have its system calls written to ``log``."""
    return ("strace", "-f", "--seccomp-bpf", "-y", "-qq", "-s", "4096", "-e", f"trace={CALLS}", "-o", str(log))


def lines(log: Path) -> list[str]:
    """Of finished calls; the two halves of one that another thread interrupted are put together."""
    halves: dict[str, str] = {}
    out = []
    for line in log.read_text(errors="replace").splitlines():
        pid = line.split(maxsplit=1)[0]
        if line.endswith("<unfinished ...>"):
            halves[pid] = line.removesuffix("<unfinished ...>")
        elif " resumed>" in line and pid in halves:
            out.append(halves.pop(pid) + line.partition(" resumed>")[2])
        else:
            out.append(line)
    return out


def lose_power(setting: Setting, moment: float, chance: random.Random) -> Running:
    """All ends at once, and what was not synced is lost."""
    if shutil.which("strace") is None:
        raise CannotBeTried("strace is not installed")
    log = setting.folder / "calls"
    running = _at(replace(setting, prefix=recorder(log)), moment)
    running.end()
    disk = Disk(os.path.realpath(setting.store))
    for line in lines(log):
        disk.take(line)
    (setting.folder / "lost").write_text(f"{disk.lose()}\n")
    return running
