"""``kpe verify`` and ``--repair`` as a user sees them."""

import shutil
from pathlib import Path

import pytest

from flows.commands.look import repair_store, verify_runs
from kpe_core.errors import StoreDamaged
from kpe_core.store.store import Store


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_damage_is_told_and_repaired(tiny_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(str(shutil.copytree(tiny_store.root, tmp_path / "copy")))
    run_id = store.list("runs")[0]
    folder = store.read_json(f"runs/{run_id}/manifest.json")["trajectories"]
    # Until the plan is sound, nobody can tell what else is damaged beside it.
    for path in (f"{folder}/plan.json", f"{folder}/data.zarr/kpe/c/1", f"runs/{run_id}/tables/steps.parquet"):
        flip(Path(store.path(path)))
    assert verify_runs(store.url, None) == 1
    told = capsys.readouterr().out
    assert f"{folder}/plan.json: other bytes than were written there  [run {run_id}]" in told
    assert f"runs/{run_id}/tables/steps.parquet: other bytes" in told
    assert repair_store(store.url) == 0
    told = capsys.readouterr().out
    assert f"{folder}/data.zarr/kpe/c/1 (samples 20–39)" in told
    assert "3 objects repaired" in told
    assert verify_runs(store.url, None) == 0
    assert "problems" not in capsys.readouterr().out
    assert repair_store(store.url) == 0
    assert capsys.readouterr().out == "whole\n"


def test_the_word_on_the_store_itself(tiny_store: Store, tmp_path: Path) -> None:
    store = Store(str(shutil.copytree(tiny_store.root, tmp_path / "copy")))
    before = store.read("store.json")
    store.write("store.json", before.replace(b": 4", b": 5"))
    with pytest.raises(StoreDamaged, match=r"store\.json is not what was written there; `kpe verify --repair`"):
        verify_runs(store.url, None)
    assert repair_store(store.url) == 0
    assert store.read("store.json") == before
