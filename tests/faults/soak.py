"""``make soak``: small studies back to back in one driver; what it holds must not grow.

After each study the driver's memory, file handles, threads and temporary files, and what killed writes left in the
store, are counted. Each is fitted by a line over the studies, the first two left out (they import). It fails where the
lower end of the slope's 95 % interval is larger than what matters; few studies say little.
"""

import argparse
import contextlib
import ctypes
import gc
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from scipy import stats

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from flows.cluster import cluster  # noqa: E402
from flows.exits import register  # noqa: E402
from flows.launch import launch, reserved  # noqa: E402
from flows.profiles import load_profile  # noqa: E402
from flows.server import prefect_server  # noqa: E402
from kpe_core.store.store import Store  # noqa: E402
from kpe_core.study.load import load_study  # noqa: E402

STUDY = """
name: soak
title: Again and again
experiments:
  - name: planar
    data: {name: dense_sparse, n_train: 100}
    fields: {kind: exact}
    sampling: {n_samples: 40, nfe: 10, batch: 20}
    measure: {bootstrap: 100}
"""
FIRST = 2
"""Studies left out of the fit: they import and fill caches."""
MATTERS = {
    "memory, MiB": 1.0,
    "file handles": 0.05,
    "threads": 0.05,
    "temporary files": 0.05,
    "left in the store": 0.05,
}
"""Growth by study from which on something is leaked."""


def held(store: Path) -> dict[str, float]:
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # glibc's: what is freed, and kept for later, is not held
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "memory, MiB": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "file handles": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "temporary files": len(os.listdir(tempfile.gettempdir())),
        "left in the store": len(list(store.rglob("*.partial"))),
    }


def slope(values: list[float]) -> tuple[float, float]:
    """Growth by study, and half its 95 % interval."""
    if len(set(values)) == 1:
        return 0.0, 0.0
    x = np.arange(len(values))
    fit = stats.linregress(x, values)
    return float(fit.slope), float(stats.t.ppf(0.975, len(values) - 2) * fit.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    register()
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder, "tmp")
        temporary.mkdir()
        tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
        file, where = Path(folder, "soak.yaml"), Path(folder, "store")
        file.write_text(STUDY)
        seen: list[dict[str, float]] = []
        until = time.monotonic() + 60 * minutes
        with prefect_server(Store.create_or_open(str(where))):
            while time.monotonic() < until or len(seen) < FIRST + 3:
                study = load_study(str(file), [f"experiments.0.sampling.seed={len(seen)}"])
                with reserved(study, str(where)) as store, cluster(load_profile("local", 1)) as workers:
                    if (error := launch(study, store, workers, 20)) is not None:
                        raise error
                seen.append(held(where))
                print(len(seen), {k: round(v, 1) for k, v in seen[-1].items()}, flush=True)
    grows = False
    print(
        f"\n{len(seen)} studies in {minutes:.0f} min\n\n| | first | last | growth by study (95 %) |\n|---|---|---|---|"
    )
    for name, matters in MATTERS.items():
        values = [each[name] for each in seen[FIRST:]]
        by_study, give = slope(values)
        grows |= by_study - give > matters
        print(f"| {name} | {values[0]:.0f} | {values[-1]:.0f} | {by_study:+.3f} ± {give:.3f} |")
    return int(grows)


if __name__ == "__main__":
    sys.exit(main())
