"""What is removed is gone, what others need is not, and a rerun computes what went and nothing else."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import UserError
from kpe_core.stages.garbage import PAGES, garbage
from kpe_core.stages.holding import share
from kpe_core.stages.manifest import finalise, manifests, register, registered
from kpe_core.stages.measure import measure_shard
from kpe_core.stages.remove import chosen, remove_runs
from kpe_core.stages.resolve import resolve
from kpe_core.stages.tabulate import tabulate
from kpe_core.stages.verify import damages
from kpe_core.store.store import Store
from kpe_core.study.load import load_study
from kpe_core.study.runs import Run, cells
from kpe_core.study.specs import Study
from tests.conftest import run_serially
from tests.kpe_core.stages.conftest import OTHER_MEASURES, content
from tests.same import assert_same_numbers


@pytest.fixture
def sibling(store: Store, small_file: Path) -> Run:
    """A run on the trajectories of the planar one."""
    run = resolve(store, next(cells(load_study(str(small_file), (OTHER_MEASURES,)))))
    assert run is not None
    register(store, run)
    for shard in range(2):
        measure_shard(store, run, shard)
    tabulate(store, run)
    finalise(store, run, "small")
    return run


def times(store: Store, *folders: str) -> dict[str, float]:
    return {o.path: o.modified for folder in folders for o in store.objects(folder)}


def test_a_run_goes_with_all_that_is_its_own(store: Store, small_store: Store, small_runs: list[Run]) -> None:
    planar = small_runs[0]
    store.write(f"{PAGES}/{planar.run_id}/summary.json", b"{}")
    before = sum(o.size for o in store.objects("") if not o.path.startswith("studies/"))
    would = remove_runs(store, [planar.run_id], dry_run=True)
    assert sum(o.size for o in store.objects("") if not o.path.startswith("studies/")) == before
    done = remove_runs(store, [planar.run_id])
    assert done == would
    assert before - sum(done.sizes.values()) == sum(
        o.size for o in store.objects("") if not o.path.startswith(("studies/", "locks/"))
    )
    assert done.studies == ["small"]
    assert not any(planar.run_id in path or planar.trajectories_id in path for path in content(store))
    assert all(row["run"] != planar.run_id for row in store.read_json("studies/small/runs.json"))
    assert [list(damages(store, run.run_id)) for run in small_runs[1:]] == [[], []]
    assert garbage(store) == []
    with Catalog(store) as catalog:
        assert catalog.ask("SELECT count(*) AS n FROM samples").to_pylist() == [{"n": 40}]


def test_a_rerun_computes_what_went_and_nothing_else(
    store: Store, small_store: Store, small: Study, small_runs: list[Run]
) -> None:
    shaped = small_runs[2]
    remove_runs(store, [shaped.run_id])
    others = [f"trajectories/{run.trajectories_id}" for run in small_runs[:2]]
    kept = times(store, "weights", "features", *others)
    run_serially(small, store, shard_size=20)
    assert times(store, "weights", "features", *others) == kept
    assert_same_numbers(small_store, store)
    assert store.read_json("studies/small/runs.json") == small_store.read_json("studies/small/runs.json")


def test_shared_trajectories_stay_until_the_last(store: Store, small_runs: list[Run], sibling: Run) -> None:
    planar = small_runs[0]
    assert sibling.trajectories_id == planar.trajectories_id
    done = remove_runs(store, [planar.run_id])
    assert any(sibling.run_id in sentence for sentence in done.kept)
    assert list(damages(store, sibling.run_id)) == []
    remove_runs(store, [sibling.run_id])
    assert planar.trajectories_id not in store.list("trajectories")


def test_both_at_once_take_them_along(store: Store, small_runs: list[Run], sibling: Run) -> None:
    done = remove_runs(store, [small_runs[0].run_id, sibling.run_id])
    assert f"trajectories/{sibling.trajectories_id}" in done.sizes
    assert garbage(store) == []


def test_a_baseline_is_kept_unless_forced(store: Store, small_runs: list[Run]) -> None:
    _, plain, shaped = small_runs
    with pytest.raises(UserError, match=rf"{shaped.run_id}\) is compared with run shaped plain .*--force"):
        remove_runs(store, [plain.run_id])
    with pytest.raises(UserError, match="compared"):
        remove_runs(store, [plain.run_id], dry_run=True)
    assert len(manifests(store)) == 3
    done = remove_runs(store, [plain.run_id], force=True)
    assert [path for path in done.sizes if path.startswith("comparisons/")] != []
    assert list(damages(store, shaped.run_id)) == []
    assert garbage(store) == []


def test_baseline_and_run_go_together(store: Store, small_runs: list[Run]) -> None:
    remove_runs(store, [run.run_id for run in small_runs[1:]])
    assert store.list("comparisons") == []
    assert [each.path.split("/")[0] for each in garbage(store)] == ["features", "weights", "weights"]


def test_killed_anywhere_it_can_be_done_again(
    small_store: Store, small_runs: list[Run], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt gets one removal further; at no moment is a run visible that is not whole."""
    gone = [run.run_id for run in small_runs[:1]] + [small_runs[2].run_id]
    attempts = 0
    while True:
        with monkeypatch.context() as patch:
            _kill_at_removal(patch, store)
            try:
                remove_runs(store, chosen(store, gone))
                break
            except KeyboardInterrupt:
                attempts += 1
        assert all(list(damages(store, m["run_id"])) == [] for m in manifests(store))
        if not any(run_id in store.list("runs") for run_id in gone):
            break
    assert attempts > 10
    assert store.list("runs") == [small_runs[1].run_id]
    assert len(store.list("trajectories")) == 1
    assert garbage(store) == []


def _kill_at_removal(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """One object or folder goes, and the next one does not."""
    remove: Callable[..., None] = Store.remove
    removed = 0

    def call(here: Store, path: str) -> None:
        nonlocal removed
        there = here.exists(path)
        if here is store and there and removed == 1:
            raise KeyboardInterrupt
        remove(here, path)
        removed += here is store and there

    monkeypatch.setattr(Store, "remove", call)


def test_not_while_a_study_runs(store: Store, small_runs: list[Run]) -> None:
    with share(store), store.lock("study-small", wait=False):
        with pytest.raises(UserError, match=r"study small is being run .* nothing is removed"):
            remove_runs(store, [small_runs[0].run_id])
        remove_runs(store, [small_runs[0].run_id], dry_run=True)
    assert len(manifests(store)) == 3


def test_whole_ids_that_are_gone_are_passed_over(store: Store, small_runs: list[Run]) -> None:
    planar, plain, _ = (run.run_id for run in small_runs)
    remove_runs(store, [planar])
    assert chosen(store, [planar, plain[:8]]) == [plain]
    with pytest.raises(UserError, match=f"no run '{planar}'"):
        chosen(store, [planar])
    with pytest.raises(UserError, match="no run 'zz'"):
        chosen(store, ["zz", plain])


def test_runs_of_another_version_are_left_alone(store: Store, small_runs: list[Run]) -> None:
    planar, plain, _ = (run.run_id for run in small_runs)
    told: dict[str, Any] = store.read_json(f"runs/{planar}/run.json")
    store.write_json(f"runs/{planar}/run.json", told | {"seed": 7})
    with pytest.raises(UserError, match="what it needs cannot be told"):
        remove_runs(store, [plain], force=True)
    assert registered(store, plain).run_id == plain


def test_on_s3_a_run_in_progress_is_left_to_its_study(
    small: Study, small_store: Store, small_runs: list[Run], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, planar = Store.create_or_open(bucket), small_runs[0]
    store.write("store.json", small_store.read("store.json"))
    register(store, planar)
    with pytest.raises(UserError, match="written to within 24 hours"):
        remove_runs(store, [planar.run_id])
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 25 * 3600)
    remove_runs(store, [planar.run_id])
    assert store.list("runs") == []
