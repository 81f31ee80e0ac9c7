"""The same study on an S3 endpoint (moto) and on disk: the same numbers, by the same code."""

import pytest

from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import UserError
from kpe_core.stages.verify import damages
from kpe_core.store.store import Store
from kpe_core.study.specs import Study
from tests.conftest import run_serially
from tests.same import assert_same_numbers


def test_same_numbers_as_on_disk(bucket: str, tiny: Study, tiny_store: Store) -> None:
    with pytest.raises(UserError, match="no store at s3://"):
        Store.open(bucket)
    store = Store.create_or_open(bucket)
    run_serially(tiny, store)
    assert_same_numbers(tiny_store, store)
    with Catalog(store) as remote, Catalog(tiny_store) as local:
        sql = "SELECT run, count(*) AS n, sum(kpe) AS kpe FROM samples GROUP BY run ORDER BY run"
        assert remote.ask(sql).equals(local.ask(sql))
        for sql in (
            "SELECT run, state, t, sum(x::DOUBLE) AS x FROM trajectory GROUP BY ALL ORDER BY ALL",
            "SELECT * FROM states WHERE sample = 7 ORDER BY run, state",
            "SELECT count(*) AS n, min(x) AS x FROM trajectory JOIN runs USING (run) WHERE nfe = 20 AND t > 0.9",
        ):
            assert remote.ask(sql).equals(local.ask(sql))
            assert remote.io() == local.io(), "as many chunks, of as many bytes"
    assert [list(damages(store, run_id)) for run_id in store.list("runs")] == [[], [], []]
    attributes = str(dict(store.read_json(f"trajectories/{store.list('trajectories')[0]}/plan.json")))
    assert "not-a-real-key" not in attributes
