"""The same study on an S3 endpoint (moto) and on disk: the same numbers, by the same code."""

from pathlib import Path

import numpy as np
import pytest

from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import StoreDamaged, UserError
from kpe_core.stages.verify import damages
from kpe_core.store.store import COPY_BYTES, Store
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


def test_what_others_write_is_seen_at_once(bucket: str) -> None:
    """Whatever was listed, found or missed before: other processes write into the store, too."""
    import boto3

    store = Store.create_or_open(bucket)
    store.write("runs/a/run.json", b"{}")
    assert store.list("runs/a") == ["run.json"]
    assert not store.exists("runs/a/manifest.json")
    assert len(store.objects("runs")) == 1
    name, prefix = bucket.removeprefix("s3://").split("/")
    boto3.client("s3").put_object(Bucket=name, Key=f"{prefix}/runs/a/manifest.json", Body=b"{}")
    assert store.exists("runs/a/manifest.json")
    assert store.list("runs/a") == ["manifest.json", "run.json"]
    assert len(store.objects("runs")) == 2
    boto3.client("s3").delete_object(Bucket=name, Key=f"{prefix}/runs/a/manifest.json")
    assert not store.exists("runs/a/manifest.json")


def test_objects_of_many_pieces_arrive_whole(bucket: str, tmp_path: Path) -> None:
    """Larger than what is sent in one request, to and from the object store, and compared piece by piece."""
    here, remote = Store(str(tmp_path / "here")), Store(bucket)
    back, beside = Store(str(tmp_path / "back")), Store(f"{bucket}-2")
    data = np.random.default_rng(0).bytes(3 * COPY_BYTES + 12345)
    here.write("large/object.bin", data)
    for target, source in ((remote, here), (beside, remote), (back, beside)):
        target.receive(source, "large/object.bin")
        assert target.read("large/object.bin") == data
        assert target.holds_same(source, "large/object.bin")
    back.write("large/object.bin", data[:-1] + bytes([data[-1] ^ 1]))
    assert not back.holds_same(remote, "large/object.bin")
    assert [(o.path, o.size) for o in remote.objects("large")] == [("large/object.bin", len(data))]
    for target, source in ((remote, here), (back, remote)):
        with pytest.raises(StoreDamaged, match=r"absent\.bin is missing"):
            target.receive(source, "absent.bin")
