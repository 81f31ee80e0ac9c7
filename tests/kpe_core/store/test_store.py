"""A store's promises about single objects: whole or absent, readable or refused."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from kpe_core.errors import StoreDamaged, UserError
from kpe_core.identity import FORMAT_VERSION, canonical_digest
from kpe_core.store.store import Store


def test_written_objects_come_back(tmp_path: Path) -> None:
    store = Store.create_or_open(str(tmp_path))
    store.write("a/b/c.bin", b"\x00\xff")
    store.write_json("a/d.json", {"γ": [1, 2.5, None]})
    table = pa.table({"x": [1.0, None]})
    store.write_table("a/t.parquet", table)
    assert store.read("a/b/c.bin") == b"\x00\xff"
    assert store.read_json("a/d.json") == {"γ": [1, 2.5, None]}
    assert store.read_table("a/t.parquet").equals(table)
    assert store.list("a") == ["b", "d.json", "t.parquet"]
    assert store.list("nothing") == []


def test_a_failed_write_leaves_the_old_object_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.create_or_open(str(tmp_path))
    store.write("x.bin", b"old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.write("x.bin", b"new")
    assert store.read("x.bin") == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["store.json", "x.bin"]


def test_half_written_names_are_invisible(tmp_path: Path) -> None:
    store = Store.create_or_open(str(tmp_path))
    store.write("d/one.json", b"{}")
    (tmp_path / "d" / "two.json.123.partial").write_bytes(b"{")
    assert store.list("d") == ["one.json"]


@pytest.mark.parametrize(("name", "content"), [("x.json", b'{"a": '), ("x.parquet", b"PAR1 not really")])
def test_damage_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    store = Store.create_or_open(str(tmp_path))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StoreDamaged, match=name):
        store.read_json(name) if name.endswith("json") else store.read_table(name)
    with pytest.raises(StoreDamaged, match="missing"):
        store.read("absent.bin")


def test_other_versions_are_refused(tmp_path: Path) -> None:
    Store.create_or_open(str(tmp_path))
    (tmp_path / "store.json").write_text(_about(FORMAT_VERSION, 7))
    assert Store.open(str(tmp_path)).list("runs") == []
    with pytest.raises(UserError, match="numerics version 7"):
        Store.create_or_open(str(tmp_path))
    (tmp_path / "store.json").write_text(_about(9, 1))
    with pytest.raises(UserError, match=r"format 9.*a later version"):
        Store.open(str(tmp_path))
    (tmp_path / "store.json").write_text(json.dumps({"format": 3, "numerics": 2}))
    with pytest.raises(UserError, match="format 3, and this version reads format 4"):
        Store.open(str(tmp_path))


def _about(version: int, numerics: int) -> str:
    told = {"format": version, "numerics": numerics}
    return json.dumps(told | {"sha256": canonical_digest(told)})


def test_locks_exclude_and_let_go(tmp_path: Path) -> None:
    store = Store.create_or_open(str(tmp_path))
    with store.lock("study", wait=False) as first:
        assert first
        with store.lock("study", wait=False) as second:
            assert not second
        with store.lock("other", wait=False) as other:
            assert other
    with store.lock("study", wait=False) as again:
        assert again


def test_shared_locks_exclude_only_who_wants_it_alone(tmp_path: Path) -> None:
    store = Store.create_or_open(str(tmp_path))
    with store.lock("store", wait=False, shared=True), store.lock("store", wait=False, shared=True) as second:
        assert second
        with store.lock("store", wait=False) as alone:
            assert not alone
    with store.lock("store", wait=False) as alone, store.lock("store", wait=False, shared=True) as shared:
        assert (alone, shared) == (True, False)
