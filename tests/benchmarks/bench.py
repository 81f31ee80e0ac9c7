"""How benchmarks measure and print: medians of alternating rounds inside one process; rows of a table."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

ROW = "  {:<66} {:>12} {:>12}  {}"


def medians(*work: Callable[[], object], rounds: int = 5) -> list[float]:
    """Median seconds of each, run in turn so that a slow minute slows all of them."""
    return [float(t) for t in np.median(_rounds(work, rounds), axis=0)]


def median_ratio(work: Callable[[], object], to: Callable[[], object], rounds: int) -> float:
    """Median over the rounds of the seconds of ``work`` to those of ``to`` in the same round: for small differences."""
    times = _rounds((work, to), rounds)
    return float(np.median(times[:, 0] / times[:, 1]))


def _rounds(work: Sequence[Callable[[], object]], rounds: int) -> np.ndarray:
    """Seconds (rounds, len(work)), after one warm-up each."""
    for w in work:
        w()
    times = np.empty((rounds, len(work)))
    for i in range(rounds):
        for j, w in enumerate(work):
            start = time.perf_counter()
            w()
            times[i, j] = time.perf_counter() - start
    return times


def heading(title: str, measured: str = "measured", target: str = "target") -> None:
    print(f"\n\n  {title}\n" + ROW.format("", measured, target, "").rstrip(), end="")


def row(what: str, measured: str, target: str = "", note: str = "") -> None:
    print("\n" + ROW.format(what, measured, target, note).rstrip(), end="")


def peak_megabytes(setup: str, work: str) -> float:
    """By how much ``work`` raises a fresh process's anonymous memory, at its peak, over what ``setup`` left in use, MB.

    Sampled every millisecond. Anonymous memory only: the libraries' own code pages come and go as the system likes.
    """
    script = f"""
import ctypes, json, threading, time
import torch
torch.set_num_threads(1)
{setup}
ctypes.CDLL(None).malloc_trim(0)  # what the setup freed is no room for the work
def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
before, seen, done = anonymous(), [0], threading.Event()
def watch():
    while not done.is_set():
        seen.append(anonymous())
        time.sleep(0.001)
watcher = threading.Thread(target=watch)
watcher.start()
{work}
done.set()
watcher.join()
print(json.dumps((max(seen) - before) / 1024))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return float(json.loads(run.stdout.splitlines()[-1]))
