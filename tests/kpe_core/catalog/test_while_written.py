"""Ten readers ask while a run is sampled, tabulated, made visible, taken away and made visible again."""

import threading
from collections import Counter
from pathlib import Path

import pytest

from kpe_core.catalog.catalog import Catalog
from kpe_core.stages.holdings import reopen
from kpe_core.stages.manifest import finalise
from kpe_core.stages.tabulate import tabulate
from kpe_core.store.store import Store
from kpe_core.study.runs import Run
from kpe_core.study.specs import Study
from tests.conftest import run_serially

QUESTION = """
SELECT count(*) AS n, md5(list(kpe ORDER BY sample)::VARCHAR) AS kpe,
  (SELECT md5(list(power ORDER BY sample, step)::VARCHAR) FROM steps WHERE run = $run) AS power
FROM samples WHERE run = $run"""


def ask(store: Store, run: Run) -> str:
    with Catalog(store) as catalog:
        return str(catalog.query(QUESTION, run=run.run_id).to_pylist())


@pytest.mark.slow
def test_readers_see_all_of_a_run_or_nothing(
    tiny: Study, tiny_store: Store, tiny_runs: list[Run], tmp_path: Path
) -> None:
    run = tiny_runs[0]
    study = tiny.model_copy(update={"experiments": tiny.experiments[:1]})
    store = Store.create_or_open(str(tmp_path))
    over, told = threading.Event(), Counter[str]()

    def read() -> None:
        while not over.is_set():
            try:
                told[ask(store, run)] += 1
            except Exception as error:
                told[repr(error)] += 1

    readers = [threading.Thread(target=read) for _ in range(10)]
    for reader in readers:
        reader.start()
    try:
        run_serially(study, store)
        for _ in range(3):
            reopen(store, run)
            tabulate(store, run)
            finalise(store, run, study.name)
    finally:
        over.set()
        for reader in readers:
            reader.join()
    told[ask(store, run)] += 1
    nothing = str([{"n": 0, "kpe": None, "power": None}])
    assert set(told) == {nothing, ask(tiny_store, run)}, told
