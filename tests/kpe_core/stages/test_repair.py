"""One bit flipped in one object of every kind: found by name, refused by queries, repaired, and nothing else touched."""

from pathlib import Path

import pytest

from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import StoreDamaged, UserError
from kpe_core.stages.repair import repair
from kpe_core.stages.verify import store_damages
from kpe_core.store.store import Store
from kpe_core.study.specs import Study
from tests.conftest import run_serially
from tests.kpe_core.stages.flips import PLACES, copied, flip, is_as_before, paths_by_kind, state

OF_ITS_OWN = ("studies/", "features/*/plan", "features/*/data.zarr/features/zarr", "features/*/data.zarr/zarr")
"""Kinds of which there is one object, that would hide others' damage."""
LAID_OUT = ("plan.json", "zarr.json", "(coordinate)/c")


@pytest.fixture
def copy(tiny_store: Store, tmp_path: Path) -> Store:
    return copied(tiny_store, tmp_path / "copy")


def test_whole(tiny_store: Store) -> None:
    assert store_damages(tiny_store) == []


def test_a_bit_in_every_kind_of_object(copy: Store) -> None:
    kinds = {k: v for k, v in paths_by_kind(copy).items() if not k.startswith(OF_ITS_OWN)}
    # What is laid out in the last trajectories, a run's two words of two runs: each damage is seen beside the others.
    chosen = {
        kind: paths[-1] if kind.endswith((*LAID_OUT, "manifest.json")) else paths[0] for kind, paths in kinds.items()
    }
    last = chosen["trajectories/*/plan.json"].split("/")[1]
    chosen = {k: p for k, p in chosen.items() if k.endswith("plan.json") or f"trajectories/{last}" not in p}
    before = state(copy)
    for i, path in enumerate(chosen.values()):
        flip(copy, path, PLACES[i % 3], i % 8)
    damages = store_damages(copy)
    assert {d.path for d in damages} == set(chosen.values())
    chunk = next(d for d in damages if d.path == chosen["trajectories/*/data.zarr/x1/c"])
    assert chunk.samples == (0, 20)
    assert len(chunk.runs) == 1
    outcomes = list(repair(copy, damages))
    assert [(o.damage.path, o.said) for o in outcomes if not o.repaired] == []
    after = state(copy)
    assert store_damages(copy) == []
    assert after.keys() == before.keys()
    assert {p for p in before if after[p] != before[p]} == set(chosen.values()), "nothing else was written"
    assert [p for p in chosen.values() if not is_as_before(p, after[p][0], before[p][0])] == []


@pytest.mark.parametrize("kind", ["trajectories/*/data.zarr/zarr.json", "features/*/data.zarr/zarr.json"])
def test_what_is_laid_out(copy: Store, kind: str) -> None:
    (path, *_), before = paths_by_kind(copy)[kind], state(copy)
    flip(copy, path, "middle", 3)
    (damage,) = store_damages(copy)
    assert damage.path == path
    assert [o.said for o in repair(copy, [damage])] == ["made again"]
    assert state(copy)[path][0] == before[path][0]


def test_removed_and_stray_objects(copy: Store) -> None:
    kinds = paths_by_kind(copy)
    gone = [
        kinds[k][0] for k in ("trajectories/*/data.zarr/x/c", "runs/*/tables/steps.parquet", "comparisons/*.parquet")
    ]
    gone += [kinds["weights/*/card.json"][0], kinds["trajectories/*/shards/N.json"][-1]]
    before = state(copy)
    for path in gone:
        copy.remove(path)
    strays = ["notes.txt", f"{gone[0].rsplit('/', 3)[0]}/99/0/0", "runs/" + copy.list("runs")[0] + "/tables/more.csv"]
    for path in strays:
        copy.write(path, b"mine")
    damages = store_damages(copy)
    assert {d.path for d in damages} == {*gone, *strays}
    outcomes = {o.damage.path: o.repaired for o in repair(copy, damages)}
    assert outcomes == dict.fromkeys(gone, True) | dict.fromkeys(strays, False)
    after = state(copy)
    assert {p for p in before if not is_as_before(p, after[p][0], before[p][0])} == set()
    assert [after[p][0] for p in strays] == [b"mine"] * 3, "what is not the store's is left"


def test_what_this_machine_would_compute_otherwise_stays(copy: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine's last bits must not get in beside the others."""
    from kpe_core.stages import sample

    monkeypatch.setattr(sample, "initial_noise", lambda seed, *a: initial_noise(seed + 1, *a))
    from kpe_core.sampling.noise import initial_noise

    path = paths_by_kind(copy)["trajectories/*/data.zarr/x1/c"][0]
    flip(copy, path, "middle", 0)
    damaged = state(copy)
    (outcome,) = repair(copy, store_damages(copy))
    assert not outcome.repaired
    assert "differs from what was written" in outcome.said
    assert state(copy) == damaged


@pytest.mark.parametrize(
    ("kind", "question"),
    [
        ("runs/*/tables/samples.parquet", "SELECT * FROM samples"),
        ("runs/*/tables/steps.parquet", "SELECT * FROM steps"),
        ("comparisons/*.parquet", "SELECT * FROM comparisons"),
        ("runs/*/manifest.json", "SELECT * FROM runs"),
        ("trajectories/*/data.zarr/x/c", "SELECT sum(x) FROM trajectory"),
        ("trajectories/*/data.zarr/zarr.json", "SELECT sum(x) FROM trajectory"),
    ],
)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_no_answer_comes_of_damage(copy: Store, kind: str, question: str, share: float) -> None:
    path = Path(copy.path(paths_by_kind(copy)[kind][0]))
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises((StoreDamaged, UserError)), Catalog(copy) as catalog:
        catalog.ask(question)


def test_a_question_reads_no_tables_but_its_own(copy: Store) -> None:
    path = paths_by_kind(copy)["runs/*/tables/steps.parquet"][0]
    flip(copy, path, "last", 0)
    with Catalog(copy) as catalog:
        assert len(catalog.ask("SELECT kpe FROM samples")) == 480
        with pytest.raises(StoreDamaged, match=r"steps\.parquet"):
            catalog.ask("SELECT power FROM Steps")


@pytest.mark.slow
def test_on_s3(small: Study, bucket: str) -> None:
    store = Store.create_or_open(bucket)
    run_serially(small, store, shard_size=20)
    kinds, before = paths_by_kind(store), {o.path: store.read(o.path) for o in store.objects("")}
    chosen = [
        kinds[k][0] for k in ("trajectories/*/data.zarr/x1/c", "runs/*/tables/steps.parquet", "features/*/parts/N.json")
    ]
    for path in chosen:
        flip(store, path, "middle", 2)
    damages = store_damages(store)
    assert {d.path for d in damages} == set(chosen)
    assert all(outcome.repaired for outcome in repair(store, damages))
    assert {o.path: store.read(o.path) for o in store.objects("")} == before
