"""`make bench`, section SQL: trajectories of more than 3 GB asked in SQL, each question in a process of its own."""

import json
import subprocess
import sys

import pytest

from kpe_core.store.store import Store
from tests.benchmarks.bench import heading, row
from tests.synthetic import write_run

N, NFE, DIM = 1216, 255, 3072

ASK = """
import json, sys, time
from kpe_core.catalog.catalog import Catalog
from kpe_core.store.store import Store
started = time.perf_counter()
with Catalog(Store.open(sys.argv[1])) as catalog:
    opened = time.perf_counter()
    rows = catalog.ask(sys.argv[2]).num_rows
    done, io = time.perf_counter(), catalog.io()
with open("/proc/self/status") as status:  # getrusage would tell the parent's
    peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
print(json.dumps([rows, opened - started, done - opened, io.chunks, io.bytes, io.total_chunks, io.total_bytes, peak]))
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store.create_or_open(str(tmp_path_factory.mktemp("big")))
    write_run(store, str(tmp_path_factory.mktemp("study")), N, NFE, DIM)
    return store


def test_trajectories(store: Store) -> None:
    heading(f"SQL over {N} × {NFE + 1} states × {DIM} coordinates in float32")
    run = store.list("runs")[0]
    questions = {
        "one sample, every state": (f"SELECT * FROM trajectory WHERE run = '{run}' AND sample = 7", 32, 1.0),
        "one state, every sample": ("SELECT sample, avg(x) FROM trajectory WHERE state = 100 GROUP BY sample", 304, 1.0),
        "… as whole vectors": ("SELECT sample, x FROM states WHERE state = 100", 304, 1.0),
        "the ten samples of highest energy, at the end": (
            "SELECT s.sample, avg(x) FROM trajectory JOIN (SELECT run, sample FROM samples ORDER BY kpe DESC LIMIT 10) s "
            "USING (run, sample) WHERE t = 1 GROUP BY 1", 10, 1.0,
        ),
        "every number, by state": ("SELECT state, avg(x), min(x) FROM trajectory GROUP BY state", 9728, None),
        "every vector's norm": ("SELECT sum(list_inner_product(x, x)) FROM states", 9728, None),
    }  # fmt: skip
    for name, (sql, most, seconds) in questions.items():
        done = subprocess.run([sys.executable, "-c", ASK, store.url, sql], capture_output=True, text=True, check=True)
        rows, opened, took, chunks, size, total_chunks, total, memory = json.loads(done.stdout)
        row(
            name,
            f"{took:.2f} s",
            "" if seconds is None else f"≤ {seconds} s",
            f"{chunks:,} of {total_chunks:,} chunks, {size / 1e6:,.0f} of {total / 1e6:,.0f} MB, "
            f"{memory / 1e6:.0f} MB of memory, open in {opened:.2f} s",
        )
        assert rows
        assert total > 3e9
        assert chunks <= most
        assert memory < 1e9
