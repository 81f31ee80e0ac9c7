"""What is on the disk when a marker is, by the system calls made: the worst that a power loss may leave."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.power import Disk, lines, recorder

WRITES = """
import sys
import numpy as np
import zarr
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
store = Store.create_or_open(sys.argv[1])
group = zarr.create_group(store.zarr("trajectories/one/data.zarr"))
group.create_array("x", shape=(8,), chunks=(2,), dtype="f8")[:] = np.arange(8.0)
Trajectories(store, "one").commit(0, {"rows": [0, 8]})
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_marker_is_on_the_disk_with_all_that_it_names(tmp_path: Path) -> None:
    log, root = tmp_path / "calls", tmp_path / "store"
    ended = subprocess.run([*recorder(log), sys.executable, "-c", WRITES, str(root)], capture_output=True, text=True)
    if "PTRACE_TRACEME" in ended.stderr:
        pytest.skip("tracing is not allowed here")
    assert ended.returncode == 0, ended.stderr
    written = {p for p in root.rglob("*") if p.is_file()}
    assert len([p for p in written if "/c/" in str(p)]) == 4
    disk = Disk(str(root))
    for line in lines(log):
        disk.take(line)
    assert disk.lose() == 0, disk
    assert {p for p in root.rglob("*") if p.is_file()} == written


def test_what_was_not_synced_is_lost(tmp_path: Path) -> None:
    disk = Disk(str(tmp_path))
    for name in ("synced", "unsynced", "renamed"):
        (tmp_path / name).write_text(name)
    place = str(tmp_path)
    for line in (
        f'7 openat(AT_FDCWD, "{place}/synced", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3<{place}/synced>',
        f"7 fsync(3<{place}/synced>) = 0",
        f'7 openat(AT_FDCWD, "{place}/old", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 4<{place}/old>',
        f"7 fsync(4<{place}/old>) = 0",
        f'7 openat(AT_FDCWD, "{place}/unsynced", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 5<{place}/unsynced>',
        f"7 fsync(9<{place}>) = 0",
        f'7 rename("{place}/old", "{place}/renamed") = 0',
    ):
        disk.take(line)
    assert disk.lose() == 2
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"synced": "synced", "unsynced": ""}
