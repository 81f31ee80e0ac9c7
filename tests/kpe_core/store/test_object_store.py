"""The same study on an S3 endpoint (moto) and on disk: the same numbers, by the same code."""

from collections.abc import Iterator

import pytest

from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import UserError
from kpe_core.stages.verify import damages
from kpe_core.store.store import Store
from kpe_core.study.specs import Study
from tests.conftest import run_serially
from tests.same import assert_same_numbers

server = pytest.importorskip("moto.server")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    endpoint = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    endpoint.start()
    host, port = endpoint.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "not-a-real-key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    import boto3

    boto3.client("s3").create_bucket(Bucket="kpe-test")
    yield "s3://kpe-test/store"
    endpoint.stop()


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
