"""Two writers of one run on an object store, where there is no lock: in whatever order they act, nothing is lost."""

import pytest

from kpe_core.stages.manifest import register
from kpe_core.stages.resolve import resolve
from kpe_core.stages.sample import create_trajectories, sample_shard
from kpe_core.stages.verify import material_damages
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.runs import Run, cells
from kpe_core.study.specs import Study


@pytest.fixture
def planar(bucket: str, tiny: Study) -> tuple[Store, Run]:
    store = Store.create_or_open(bucket)
    run = resolve(store, next(iter(cells(tiny))))
    assert run is not None
    register(store, run)
    return store, run


def test_one_that_lays_out_takes_nothing_from_one_that_samples(
    planar: tuple[Store, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has seen that there are no trajectories; before it goes on, the first has sampled, in smaller shards."""
    store, run = planar
    write_group = Store.write_group

    def meanwhile(self: Store, path: str, group: object) -> dict[str, str]:
        monkeypatch.setattr(Store, "write_group", write_group)
        create_trajectories(store, run, 60)
        for shard in range(3):
            sample_shard(store, run, shard)
        return write_group(self, path, group)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "write_group", meanwhile)
    plan = create_trajectories(store, run, 120)
    assert (plan.shard_size, plan.n_shards) == (60, 4), "the first one's plan stays"
    trajectories = Trajectories(store, run.trajectories_id)
    assert trajectories.missing() == [3]
    sample_shard(store, run, 3)
    assert list(material_damages(store, run.run_id)) == []


def test_markers_without_a_plan_count_for_nothing(planar: tuple[Store, Run]) -> None:
    """As a removal or a copy leaves them that was killed, of shards of another size and of data that may be gone."""
    store, run = planar
    create_trajectories(store, run, 60)
    trajectories = Trajectories(store, run.trajectories_id)
    sample_shard(store, run, 0)
    store.remove(f"{trajectories.folder}/plan.json")
    store.remove(f"{trajectories.folder}/data.zarr/x1/c/0")
    create_trajectories(store, run, 120)
    assert trajectories.missing() == [0, 1]


def test_both_sample_the_same_shard(planar: tuple[Store, Run], monkeypatch: pytest.MonkeyPatch) -> None:
    store, run = planar
    create_trajectories(store, run, 120)
    commit = Trajectories.commit

    def meanwhile(self: Trajectories, shard: int, marker: dict[str, object]) -> None:
        monkeypatch.setattr(Trajectories, "commit", commit)
        sample_shard(store, run, shard)
        commit(self, shard, marker)

    monkeypatch.setattr(Trajectories, "commit", meanwhile)
    for shard in range(2):
        sample_shard(store, run, shard)
    assert list(material_damages(store, run.run_id)) == []


def test_the_first_of_two_objects_stays(bucket: str) -> None:
    store = Store.create_or_open(bucket)
    for data in (b"first", b"second"):
        store.write_first("plan.json", data)
    assert store.read("plan.json") == b"first"
