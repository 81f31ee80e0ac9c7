"""Every kind of damage is found and named; whole stores are called whole."""

import shutil
from pathlib import Path

import pytest

from kpe_core.errors import StoreDamaged, UserError
from kpe_core.stages.measure import measure_shard
from kpe_core.stages.verify import damages, find_run
from kpe_core.store.store import Store
from kpe_core.study.runs import Run


@pytest.fixture
def copy(tiny_store: Store, tmp_path: Path) -> Store:
    shutil.copytree(tiny_store.root, tmp_path / "copy")
    return Store.open(str(tmp_path / "copy"))


def flip(path: Path, at: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * (len(data) - 1))] ^= 0xFF
    path.write_bytes(bytes(data))


def test_whole(tiny_store: Store, tiny_runs: list[Run]) -> None:
    assert [list(damages(tiny_store, run.run_id)) for run in tiny_runs] == [[], [], []]


@pytest.mark.parametrize("array", ["x", "x1", "power", "kpe"])
def test_flipped_byte_in_an_array(copy: Store, tiny_runs: list[Run], array: str) -> None:
    run = tiny_runs[0]
    folder = Path(copy.path("trajectories", run.trajectories_id, "data.zarr", array, "c"))
    flip(sorted(p for p in folder.rglob("*") if p.is_file())[1])
    found = list(damages(copy, run.run_id))
    assert len(found) >= 1
    assert all(array in sentence.path for sentence in found)
    assert list(damages(copy, tiny_runs[1].run_id)) == []


@pytest.mark.parametrize("table", ["samples", "steps", "densities", "scores"])
def test_flipped_byte_in_a_table(copy: Store, tiny_runs: list[Run], table: str) -> None:
    flip(Path(copy.path("runs", tiny_runs[0].run_id, "tables", f"{table}.parquet")))
    assert any(f"{table}.parquet" in str(sentence) for sentence in damages(copy, tiny_runs[0].run_id))


def test_flipped_byte_in_weights(copy: Store, tiny_runs: list[Run]) -> None:
    for path in Path(copy.path("weights")).rglob("weights.safetensors"):
        flip(path, at=0.9)
    assert len([s for s in damages(copy, tiny_runs[1].run_id) if "weights.safetensors" in str(s)]) == 2


def test_missing_things(copy: Store, tiny_runs: list[Run]) -> None:
    run = tiny_runs[0]
    Path(copy.path("trajectories", run.trajectories_id, "shards", "00001.json")).unlink()
    Path(copy.path("runs", run.run_id, "tables", "steps.parquet")).unlink()
    found = " | ".join(map(str, damages(copy, run.run_id)))
    assert "shard 1: not sampled yet" in found
    assert "steps.parquet: missing" in found


def test_runs_are_found_by_their_beginning(tiny_store: Store, tiny_runs: list[Run]) -> None:
    run_id = tiny_runs[0].run_id
    assert find_run(tiny_store, run_id[:10]) == run_id
    with pytest.raises(UserError, match="no run 'zz'"):
        find_run(tiny_store, "zz")
    with pytest.raises(UserError, match="ambiguous"):
        find_run(tiny_store, "")


def test_nothing_is_measured_of_samples_that_are_not_there(copy: Store, tiny_runs: list[Run]) -> None:
    """A marker without its data: what another program copies while a study is run may look so."""
    run = tiny_runs[0]
    shutil.rmtree(copy.path("trajectories", run.trajectories_id, "data.zarr", "x1", "c"))
    copy.remove(f"runs/{run.run_id}/measures")
    with pytest.raises(StoreDamaged, match=r"samples 60–119 are not those that were committed; `kpe verify`"):
        measure_shard(copy, run, 1)
    assert not copy.exists(f"runs/{run.run_id}/measures")


def test_nothing_is_measured_of_a_chunk_that_was_changed(copy: Store, tiny_runs: list[Run]) -> None:
    run = tiny_runs[0]
    chunks = Path(copy.path("trajectories", run.trajectories_id, "data.zarr", "x1", "c")).rglob("*")
    chunk = min(p for p in chunks if p.is_file())
    spoiled = bytearray(chunk.read_bytes())
    spoiled[len(spoiled) // 2] ^= 1
    chunk.write_bytes(spoiled)
    copy.remove(f"runs/{run.run_id}/measures")
    with pytest.raises(StoreDamaged, match=r"x1 cannot be read: .*; `kpe verify`"):
        measure_shard(copy, run, 0)
