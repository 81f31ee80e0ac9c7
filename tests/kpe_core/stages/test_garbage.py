"""Garbage is what nothing refers to: everything of it, and never anything else."""

import json
import os
import time
from pathlib import Path

import pytest

from kpe_core.errors import UserError
from kpe_core.stages.copy import copy_runs
from kpe_core.stages.garbage import PAGES, collect, garbage
from kpe_core.stages.holding import share
from kpe_core.stages.manifest import manifests, quarantine
from kpe_core.stages.remove import remove_runs
from kpe_core.stages.verify import damages
from kpe_core.store.store import Store
from kpe_core.study.runs import Run
from tests.kpe_core.stages.conftest import content

DAY = 24 * 3600.0


def paths(store: Store) -> list[str]:
    return [each.path for each in garbage(store)]


def make_older(store: Store, path: str) -> None:
    before = time.time() - 2 * DAY
    os.utime(store.path(path), (before, before))


def test_a_clean_store_has_none(small_store: Store, tiny_store: Store) -> None:
    assert garbage(small_store) == []
    assert garbage(tiny_store) == []


def test_a_clean_store_loses_nothing(store: Store) -> None:
    before = content(store)
    assert collect(store, 0.0, time.time() + 365 * DAY) == []
    assert content(store) == before


def test_what_only_a_removed_run_needed(store: Store, small_runs: list[Run]) -> None:
    planar, plain, shaped = small_runs
    remove_runs(store, [shaped.run_id])
    assert garbage(store) == [], "the plain run needs the same weights and features"
    remove_runs(store, [plain.run_id])
    found = garbage(store)
    assert sorted(each.path.split("/")[0] for each in found) == ["features", "weights", "weights"]
    there = sum(o.size for folder in ("features", "weights") for o in store.objects(folder))
    assert sum(each.size for each in found) == there
    assert collect(store, DAY, time.time()) == found
    assert store.list("weights") == store.list("features") == []
    assert list(damages(store, planar.run_id)) == []


def test_what_is_missing_its_run(store: Store, small_runs: list[Run]) -> None:
    store.remove(f"runs/{small_runs[2].run_id}")
    store.write(f"{PAGES}/{small_runs[2].run_id}/summary.json", b"{}")
    found = paths(store)
    assert f"trajectories/{small_runs[2].trajectories_id}" in found
    assert f"comparisons/{small_runs[2].run_id}-{small_runs[1].run_id}.parquet" in found
    assert f"{PAGES}/{small_runs[2].run_id}" in found
    assert len(found) == 3
    collect(store, DAY, time.time())
    assert paths(store) == []
    assert [list(damages(store, run.run_id)) for run in small_runs[:2]] == [[], []]


@pytest.mark.parametrize("state", ["in progress", "in quarantine"])
def test_runs_that_are_not_visible_count(store: Store, small_runs: list[Run], state: str) -> None:
    for run in small_runs:
        if state == "in quarantine":
            quarantine(store, run, ["something"], "small")
        store.remove(f"runs/{run.run_id}/manifest.json")
        store.remove(f"runs/{run.run_id}/tables")
    assert garbage(store) == []


def test_weights_are_known_by_their_hash_not_their_folder(store: Store) -> None:
    recipe = store.list("weights")[0]
    os.rename(store.path("weights", recipe), store.path("weights", "another-name"))
    assert garbage(store) == []


def test_unfinished_weights_are_kept(store: Store) -> None:
    store.write("weights/half-way/checkpoint.pt", b"state of a training")
    make_older(store, "weights/half-way/checkpoint.pt")
    assert garbage(store) == []
    collect(store, 0.0, time.time())
    assert store.exists("weights/half-way/checkpoint.pt")


def test_features_of_other_data_are_garbage(store: Store, small_store: Store, small_runs: list[Run]) -> None:
    """Though made with the same extractor and weights."""
    folder = f"features/{store.list('features')[0]}"
    here = f"{folder}/data.zarr/zarr.json"
    about = json.loads(store.read(here))
    about["attributes"]["split_fingerprint"] = "0" * 16
    store.write(here, json.dumps(about).encode())
    assert paths(store) == [folder]


def test_temporary_files_go_when_they_are_old(store: Store, small_runs: list[Run]) -> None:
    x1 = f"trajectories/{small_runs[0].trajectories_id}/data.zarr/x1/c/0.123.partial"
    table = f"runs/{small_runs[0].run_id}/tables/samples.parquet.456.partial"
    for path in (x1, table, "store.json.789.partial"):
        store.write(path, b"half")
    make_older(store, x1)
    make_older(store, "store.json.789.partial")
    assert sorted(paths(store)) == sorted([x1, table, "store.json.789.partial"])
    assert {each.path for each in collect(store, DAY, time.time())} == {x1, "store.json.789.partial"}
    assert paths(store) == [table]
    assert list(damages(store, small_runs[0].run_id)) == []


def test_half_made_folders_go_when_they_are_old(store: Store) -> None:
    objects = ["trajectories/0123/data.zarr/zarr.json", "features/4567/data.zarr/zarr.json", "runs/89ab/tables/x"]
    for path in objects:
        store.write(path, b"{}")
    assert [each.path for each in garbage(store) if each.is_due(DAY, time.time())] == []
    for path in objects:
        make_older(store, path)
    assert len(collect(store, DAY, time.time())) == 3
    assert garbage(store) == []


def test_not_while_a_study_runs(store: Store, small_runs: list[Run]) -> None:
    store.remove(f"runs/{small_runs[0].run_id}")
    with share(store), store.lock("study-other", wait=False):
        assert len(garbage(store)) == 1
        with pytest.raises(UserError, match=r"study other is being run .* nothing is deleted"):
            collect(store, 0.0, time.time())
    with share(store), pytest.raises(UserError, match="another command is at work"):
        collect(store, 0.0, time.time())
    with store.lock("store", wait=False), pytest.raises(UserError, match="wait for it"), share(store):
        pass
    assert len(collect(store, 0.0, time.time())) == 1


def test_killed_it_goes_on(store: Store, small_runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is half deleted no longer counts as whole: a rerun would lay it out anew."""
    store.remove(f"runs/{small_runs[0].run_id}")
    folder = f"trajectories/{small_runs[0].trajectories_id}"
    remove = Store.remove

    def killed(here: Store, path: str) -> None:
        if path == folder:
            remove(here, f"{folder}/shards/00000.json")
            raise KeyboardInterrupt
        remove(here, path)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            collect(store, DAY, time.time())
    assert not store.exists(f"{folder}/plan.json")
    assert paths(store) == [folder]
    collect(store, 0.0, time.time() + 1)
    assert garbage(store) == []


def test_a_run_that_cannot_be_read_stops_it(store: Store, small_runs: list[Run]) -> None:
    run_id = small_runs[0].run_id
    store.write_json(f"runs/{run_id}/run.json", {"of": "another version"})
    with pytest.raises(UserError, match=f"{run_id}.* no run that this version knows"):
        garbage(store)


def test_on_s3_everything_goes_by_age(small_store: Store, small_runs: list[Run], bucket: str, tmp_path: Path) -> None:
    store = Store.create_or_open(bucket)
    copy_runs(small_store, store, [run.run_id for run in small_runs])
    assert garbage(store) == []
    store.remove(f"runs/{small_runs[0].run_id}")
    assert paths(store) == [f"trajectories/{small_runs[0].trajectories_id}"]
    assert collect(store, DAY, time.time()) == []
    assert len(collect(store, DAY, time.time() + DAY + 60)) == 1
    assert garbage(store) == []
    assert len(manifests(store)) == 2
