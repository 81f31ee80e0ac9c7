"""Memory does not grow with the data set: CelebA's loader over many files, its peak measured in a process of its own.

`KPE_TEST_FILES=200000 KPE_TEST_REFERENCE=10000 pytest -s` on this file runs it in full; the suite runs it scaled down.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.kpe_core.data import written

N = int(os.environ.get("KPE_TEST_FILES", "20000"))
REFERENCE = os.environ.get("KPE_TEST_REFERENCE", "1500")
REAL = 16
"""Different pictures; the others are hard links to them, as an inode takes 65,000."""
BUDGET = 200 * 2**20
"""Of the whole process: Python and its packages take 50 MB of it, blocks on their way and pages being written the rest."""

LOADING = """
import json, resource, sys, time
from pathlib import Path
from kpe_core.data.datasets import load
from kpe_core.study.specs import DataSpec
start = time.perf_counter()
reference = sys.argv[2] if sys.argv[2] == "all" else int(sys.argv[2])
data = load(DataSpec(name="celeba", root=sys.argv[1], n_train=1024, reference=reference))
status = Path("/proc/self/status")
if status.exists():  # a process's ru_maxrss begins with its parent's
    peak = next(1024 * int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({
    "train": len(data.train), "held_out": len(data.held_out), "seconds": time.perf_counter() - start,
    "peak": peak, "torch": "torch" in sys.modules,
}))
"""


def write_many(root: Path, n: int) -> None:
    """``n`` files, as many of them in each part as CelebA has, by share."""
    folder = root / "img_align_celeba"
    for i in range(REAL):
        written.jpeg(folder / f"{i + 1:06d}.jpg", written.smooth(i, 218, 178))
    for i in range(REAL, n):
        os.link(folder / f"{i % REAL + 1:06d}.jpg", folder / f"{i + 1:06d}.jpg")
    ends = int(0.8034 * n), int(0.9015 * n)
    parts = [0 if i < ends[0] else 1 if i < ends[1] else 2 for i in range(n)]
    (root / "list_eval_partition.txt").write_text("".join(f"{i + 1:06d}.jpg {p}\n" for i, p in enumerate(parts)))


def measured(root: Path, cache: Path, reference: str) -> dict[str, float]:
    environment = os.environ | {"KPE_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", LOADING, str(root), reference],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


def test_celeba_stays_within_its_budget(tmp_path: Path) -> None:
    """And a second process decodes nothing."""
    write_many(tmp_path / "celeba", N)
    first = measured(tmp_path / "celeba", tmp_path / "cache", REFERENCE)
    print(f"{N} files: {first}")
    n_train, n_test = int(0.8034 * N), N - int(0.9015 * N)
    most = N if REFERENCE == "all" else int(REFERENCE)
    assert (first["train"], first["held_out"]) == (min(most, n_train), min(most, n_test))
    assert first["peak"] < BUDGET
    again = measured(tmp_path / "celeba", tmp_path / "cache", REFERENCE)
    print(f"again: {again}")
    assert again["seconds"] < first["seconds"] / 2
    assert not first["torch"]
