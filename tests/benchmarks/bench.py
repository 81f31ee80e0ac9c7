"""How benchmarks measure and print: medians of alternating rounds inside one process; rows of a table."""

import json
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

ROW = "  {:<66} {:>12} {:>12}  {}"


def medians(*work: Callable[[], object], rounds: int = 5) -> list[float]:
    """Median seconds of each, run in turn so that a slow minute slows all of them."""
    for w in work:
        w()
    times = np.empty((rounds, len(work)))
    for i in range(rounds):
        for j, w in enumerate(work):
            start = time.perf_counter()
            w()
            times[i, j] = time.perf_counter() - start
    return [float(t) for t in np.median(times, axis=0)]


def heading(title: str, measured: str = "measured", target: str = "target") -> None:
    print(f"\n\n  {title}\n" + ROW.format("", measured, target, "").rstrip(), end="")


def row(what: str, measured: str, target: str = "", note: str = "") -> None:
    print("\n" + ROW.format(what, measured, target, note).rstrip(), end="")


def peak_megabytes(setup: str, work: str) -> float:
    """By how much ``work`` raises a fresh process's peak memory over what ``setup`` (imports, inputs) had reached, MB."""
    script = f"""
import json, resource
import torch
torch.set_num_threads(1)
{setup}
def resident():
    with open("/proc/self/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return int(fields["VmRSS"].split()[0])
def reset():
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
def peak():
    with open("/proc/self/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return int(fields["VmHWM"].split()[0])
reset()
before = resident()
{work}
print(json.dumps((peak() - before) / 1024))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))
