"""Copies are the same object for object, whatever kills them, and never seen before they are whole."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import StoreDamaged, UserError
from kpe_core.stages.copy import copy_runs, require_whole
from kpe_core.stages.garbage import garbage
from kpe_core.stages.manifest import manifests, quarantine
from kpe_core.stages.requirements import standing
from kpe_core.stages.verify import damages
from kpe_core.store.store import Store
from kpe_core.study.runs import Run
from kpe_core.study.specs import Study
from tests.kpe_core.stages.conftest import content


class Killed(BaseException):
    """As a signal would."""


@pytest.fixture
def target(tmp_path: Path) -> Store:
    return Store.create_or_open(str(tmp_path / "target"))


def ids(runs: list[Run]) -> list[str]:
    return [run.run_id for run in runs]


def kill_at_write(monkeypatch: pytest.MonkeyPatch, target: Store, allowed: int) -> Callable[[], int]:
    """Let so many objects be written to ``target``, and no more; returns how many were."""
    written = 0

    def counted(method: Callable[..., None]) -> Callable[..., None]:
        def call(store: Store, *args: Any) -> None:
            nonlocal written
            if store is target and written == allowed:
                raise Killed
            method(store, *args)
            written += store is target

        return call

    for name in ("receive", "write"):
        monkeypatch.setattr(Store, name, counted(getattr(Store, name)))
    return lambda: written


def test_a_copy_is_the_same_object_for_object(
    small: Study, small_store: Store, small_runs: list[Run], target: Store
) -> None:
    require_whole(small_store, ids(small_runs))
    copied = copy_runs(small_store, target, ids(small_runs))
    assert content(target) == content(small_store)
    assert copied.sent == len(content(target)) - 1  # store.json is the target's own
    assert (copied.there, copied.notes) == (0, [])
    assert standing(target, small).complete
    assert [list(damages(target, i)) for i in ids(small_runs)] == [[], [], []]
    assert garbage(target) == []
    with Catalog(target) as ours, Catalog(small_store) as theirs:
        sql = "SELECT * FROM samples JOIN study_runs USING (run) ORDER BY run, sample"
        assert ours.ask(sql).equals(theirs.ask(sql))
    again = copy_runs(small_store, target, ids(small_runs))
    assert (again.sent, again.bytes) == (0, 0)


def test_killed_at_every_write_it_goes_on(
    small_store: Store, small_runs: list[Run], target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt gets one object further than the last, so every write is the one that fails once."""
    chosen = ids(small_runs)[1:]
    attempts = 0
    while True:
        with monkeypatch.context() as patch:
            kill_at_write(patch, target, allowed=1)
            try:
                copy_runs(small_store, target, chosen, at_once=1)
                break
            except Killed:
                attempts += 1
        seen = manifests(target)
        assert all(list(damages(target, m["run_id"])) == [] for m in seen), "visible before it is whole"
        assert not any(each.is_due(3600, time.time()) for each in garbage(target)), "a copy under way is no garbage"
    wanted = {path: sha256 for path, sha256 in content(small_store).items() if not path.startswith("studies/")}
    found = {path: sha256 for path, sha256 in content(target).items() if not path.startswith("studies/")}
    assert attempts > 50
    assert {path: wanted[path] for path in found} == found
    assert len(manifests(target)) == 2
    assert [row["run"] for row in target.read_json("studies/small/runs.json")] == chosen


def test_other_leavings_do_not_get_into_a_copy(small_store: Store, small_runs: list[Run], target: Store) -> None:
    run = small_runs[0]
    target.write(f"trajectories/{run.trajectories_id}/data.zarr/x1/c/9/9", b"of a layout that was never finished")
    target.write(f"runs/{run.run_id}/measures/00007.parquet", b"of other shards")
    target.write(f"trajectories/{run.trajectories_id}/data.zarr/zarr.json", b"of another layout")
    copy_runs(small_store, target, [run.run_id])
    assert list(damages(target, run.run_id)) == []
    assert content(target).keys() < content(small_store).keys()


def test_rows_and_reports_follow_their_runs(
    store: Store, small_store: Store, small_runs: list[Run], target: Store
) -> None:
    store.write("studies/small/report.html", b"<html>")
    store.write("studies/small/report.json", b"{}")
    first = copy_runs(store, target, ids(small_runs)[2:])
    assert any("comparisons/" in note and small_runs[1].run_id in note for note in first.notes)
    assert any("report of study small" in note for note in first.notes)
    assert target.list("comparisons") == []
    assert not target.exists("studies/small/report.html")
    second = copy_runs(store, target, ids(small_runs)[:2])
    assert target.read_json("studies/small/runs.json") == store.read_json("studies/small/runs.json")
    assert target.exists("studies/small/report.json")
    assert second.notes == []
    assert copy_runs(store, target, ids(small_runs)).notes == []
    assert content(target) == content(store), "the comparison came when both its runs were there"


def test_quarantined_runs_stay_so(store: Store, small_runs: list[Run], target: Store) -> None:
    run = small_runs[0]
    quarantine(store, run, ["something is not so"], "small")
    store.remove(f"runs/{run.run_id}/manifest.json")
    require_whole(store, [run.run_id])
    copy_runs(store, target, [run.run_id])
    assert manifests(target) == []
    assert target.read_json(f"runs/{run.run_id}/quarantine.json")["failed"] == ["something is not so"]


def test_what_is_damaged_or_unfinished_is_refused(store: Store, small_runs: list[Run]) -> None:
    planar, plain, shaped = ids(small_runs)
    store.remove(f"runs/{planar}/manifest.json")
    with pytest.raises(UserError, match=f"run {planar} is not finished"):
        require_whole(store, [planar])
    store.write(f"runs/{plain}/tables/samples.parquet", b"PAR1")
    with pytest.raises(StoreDamaged, match=r"samples.parquet: other bytes"):
        require_whole(store, [plain])
    part = next(o.path for o in store.objects("features") if "/c/" in o.path)
    data = bytearray(store.read(part))
    data[len(data) // 2] ^= 0xFF
    store.write(part, bytes(data))
    with pytest.raises(StoreDamaged, match=r"features/.*data\.zarr"):
        require_whole(store, [shaped])
    store.write_about(numerics=1)
    with pytest.raises(UserError, match="numerics version 1"):
        require_whole(store, [shaped])


def test_what_the_target_made_itself_is_not_written_over(
    small_store: Store, small_runs: list[Run], target: Store
) -> None:
    run = small_runs[1]
    folder = f"trajectories/{run.trajectories_id}"
    copy_runs(small_store, target, [run.run_id])
    target.remove(f"runs/{run.run_id}")
    target.remove(f"{folder}/shards/00000.json")
    with pytest.raises(UserError, match="has begun to compute trajectories/"):
        copy_runs(small_store, target, [run.run_id])
    target.write_json(f"{folder}/shards/00000.json", {})
    target.write_json(f"{folder}/plan.json", target.read_json(f"{folder}/plan.json") | {"shard_size": 40})
    with pytest.raises(UserError, match="shards of another size"):
        copy_runs(small_store, target, [run.run_id])
    target.remove(folder)
    recipe = target.list("weights")[0]
    card = target.read_json(f"weights/{recipe}/card.json")
    target.write_json(f"weights/{recipe}/card.json", card | {"sha256": "0" * 64})
    with pytest.raises(UserError, match="has trained weights/"):
        copy_runs(small_store, target, [run.run_id])
    assert target.list("runs") == [], "nothing was begun"


def test_to_s3_and_back(small_store: Store, small_runs: list[Run], target: Store, bucket: str) -> None:
    remote = Store.create_or_open(bucket)
    there = copy_runs(small_store, remote, ids(small_runs))
    assert content(remote) == content(small_store)
    assert [list(damages(remote, i)) for i in ids(small_runs)] == [[], [], []]
    assert garbage(remote) == []
    assert copy_runs(small_store, remote, ids(small_runs)).sent == 0
    beside = Store.create_or_open(bucket + "-2")
    assert copy_runs(remote, beside, ids(small_runs)).sent == there.sent
    assert content(beside) == content(small_store)
    copy_runs(remote, target, ids(small_runs))
    assert content(target) == content(small_store)
