"""A real store of format 3, which the version before checksums wrote, becomes one of this format with the same numbers.

``format-3.tar.xz`` was made by that version with `kpe run kept.yaml --workers 1 --shard-size 8`; report and quality
pages are left out, for their size.
"""

import json
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr

from flows.cli import main
from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import StoreDamaged, UserError
from kpe_core.identity import FORMAT_VERSION, canonical_digest
from kpe_core.stages import upgrade as module
from kpe_core.stages.manifest import manifests, registered
from kpe_core.stages.upgrade import UNDER_WAY, upgrade
from kpe_core.stages.verify import store_damages
from kpe_core.store.features import FeatureSet
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.store.weights import WeightsBox

ARCHIVE = Path(__file__).with_name("format-3.tar.xz")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old store, with a report such as that version wrote. Read only, please."""
    return unpacked(tmp_path_factory.mktemp("kept"))


def unpacked(folder: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    study = folder / "studies" / "kept"
    (study / "figures").mkdir()
    (study / "figures" / "power.png").write_bytes(b"\x89PNG not really")
    (study / "report.html").write_text("<!DOCTYPE html><title>γ</title>")
    (study / "summary.txt").write_text("nothing found")
    (study / "findings.json").write_text("[]")
    figure = {"name": "power", "title": "Power", "caption": "…"}
    (study / "report.json").write_text(json.dumps({"figures": [figure], "made_of": "123"}))
    return folder


@pytest.fixture(scope="module")
def upgraded(kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Read only, please."""
    target = Store(str(tmp_path_factory.mktemp("upgraded") / "store"))
    upgrade(Store(str(kept)), target)
    return Store.open(target.url)


def spoil(path: Path) -> None:
    """One bit, in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


def objects(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_every_number_is_what_it_was(kept: Path, upgraded: Store) -> None:
    """Read from the old files by zarr and pyarrow themselves."""
    folders = sorted(p.name for p in (kept / "trajectories").iterdir())
    assert upgraded.list("trajectories") == folders
    assert len(folders) == 3
    for name in folders:
        old = zarr.open_group(str(kept / "trajectories" / name / "data.zarr"), mode="r")
        new = Trajectories(upgraded, name).group()
        assert dict(new.attrs) == dict(old.attrs)
        assert sorted(new.array_keys()) == sorted(old.array_keys())
        for key, array in old.arrays():
            values, there = np.asarray(array[:]), np.asarray(new[key][:])  # type: ignore[index]
            assert (there.dtype, there.tobytes()) == (values.dtype, values.tobytes()), key
            assert dict(new[key].attrs) == dict(array.attrs)
    [features] = upgraded.list("features")
    old = zarr.open_group(str(kept / "features" / features / "data.zarr"), mode="r")
    found = FeatureSet(upgraded, features)
    assert np.concatenate([found.train(), found.held_out()]).tobytes() == np.asarray(old["features"][:]).tobytes()  # type: ignore[index]
    for path in sorted(kept.rglob("*.parquet")):
        rows = upgraded.read_table(str(path.relative_to(kept)))
        before = pq.read_table(path)
        assert rows.schema.names == before.schema.names
        assert repr(rows.to_pylist()) == repr(before.to_pylist()), path


def test_ids_weights_and_provenance_stay(kept: Path, upgraded: Store) -> None:
    told = {m["run_id"]: m for m in manifests(upgraded)}
    assert len(told) == 3
    for run_id, manifest in told.items():
        before = json.loads((kept / "runs" / run_id / "manifest.json").read_text())
        assert manifest | {"tables": 0} == before | {"tables": 0}
        assert registered(upgraded, run_id).run_id == run_id
        assert registered(upgraded, run_id).trajectories_id == manifest["trajectories"].split("/")[1]
    assert sorted(upgraded.list("weights")) == sorted(p.name for p in (kept / "weights").iterdir())
    for recipe in upgraded.list("weights"):
        assert WeightsBox(upgraded, recipe).load()


def test_the_new_store_is_whole_and_answers(upgraded: Store) -> None:
    assert store_damages(upgraded) == []
    assert not upgraded.exists(UNDER_WAY)
    with Catalog(upgraded) as catalog:
        [row] = catalog.ask("SELECT count(*) AS n, count(DISTINCT run) AS runs, sum(kpe) AS e FROM samples").to_pylist()
    assert (row["n"], row["runs"]) == (32, 3)
    assert row["e"] > 0


def test_chunks_have_checksums_now(kept: Path, tmp_path: Path) -> None:
    target = Store(str(tmp_path / "new"))
    upgrade(Store(str(kept)), target)
    for name, table in (("trajectories", "kpe/c/0"), ("features", "features/c/0/0")):
        path = next((tmp_path / "new" / name).rglob(f"data.zarr/{table}"))
        spoil(path)
        assert str(path.relative_to(tmp_path / "new")) in {d.path for d in store_damages(target)}


def test_the_old_store_is_not_touched(tmp_path: Path) -> None:
    kept = unpacked(tmp_path / "kept")
    before = objects(kept)
    upgrade(Store(str(kept)), Store(str(tmp_path / "new")))
    assert objects(kept) == before


def test_killed_it_is_no_store_and_goes_on(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = Store(str(kept)), Store(str(tmp_path / "new"))
    carry, done = module._carry, []

    def fails(source: Store, target: Store, path: str) -> None:
        if len(done) == 20:
            raise KeyboardInterrupt
        done.append(path)
        carry(source, target, path)

    monkeypatch.setattr(module, "_carry", fails)
    with pytest.raises(KeyboardInterrupt):
        upgrade(source, target)
    with pytest.raises(UserError, match="no store at"):
        Store.open(target.url)
    markers = {p: p.stat().st_mtime_ns for p in (tmp_path / "new").glob("trajectories/*/shards/*")}
    assert markers
    monkeypatch.undo()
    upgrade(source, target)
    assert store_damages(Store.open(target.url)) == []
    assert {p: p.stat().st_mtime_ns for p in markers} == markers


@pytest.mark.parametrize(
    "pattern",
    [
        "trajectories/*/data.zarr/kpe/c/0",
        "trajectories/*/data.zarr/zarr.json",
        "features/*/data.zarr/features/c/0/0",
        "weights/*/weights.safetensors",
        "runs/*/tables/samples.parquet",
    ],
)
def test_what_was_damaged_before_is_named_and_not_carried_on(pattern: str, tmp_path: Path) -> None:
    kept = unpacked(tmp_path / "kept")
    damaged = sorted(kept.glob(pattern))[0]
    spoil(damaged)
    with pytest.raises(StoreDamaged, match=damaged.relative_to(kept).parts[0]):
        upgrade(Store(str(kept)), Store(str(tmp_path / "new")))
    with pytest.raises(UserError, match="no store at"):
        Store.open(str(tmp_path / "new"))


def test_what_was_missing_before_is_told(tmp_path: Path) -> None:
    kept = unpacked(tmp_path / "kept")
    absent = sorted(kept.glob("runs/*/measures/00000.parquet"))[0]
    absent.unlink()
    done = upgrade(Store(str(kept)), Store(str(tmp_path / "new")))
    assert [note for note in done.notes if note.startswith(str(absent.relative_to(kept)))]


def kpe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["kpe", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out + said.err


def test_the_command(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what a hurried user gets wrong."""
    new, other = tmp_path / "new", tmp_path / "other"
    other.mkdir()
    (other / "diary.txt").write_text("mine")
    for words, expected, why in (
        (("sql", "SELECT 1", "--store", kept), 2, f"kpe upgrade --store {kept} --to NEW"),
        (("upgrade", "--store", kept), 2, "--to NEW"),
        (("upgrade", "--store", kept, "--to", other), 2, "holds something else"),
        (("upgrade", "--store", kept, "--to", kept), 2, "there is a store at"),
        (("upgrade", "--store", tmp_path / "nowhere", "--to", tmp_path / "b"), 2, "no store at"),
        (("upgrade", "--store", kept, "--to", new), 0, "verified: whole"),
        (("verify", "--store", new), 0, "planar plain: whole"),
        (("upgrade", "--store", kept, "--to", new), 2, "there is a store at"),
        (("upgrade", "--store", new, "--to", tmp_path / "b"), 2, "nothing to upgrade"),
    ):
        code, said = kpe(monkeypatch, capsys, *words)
        assert code == expected, said
        assert why in said
    assert objects(other) == {"diary.txt": b"mine"}
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(("about", "why"), [((2, 2), "kpe run STUDY"), ((3, 1), "kpe run STUDY")])
def test_numbers_of_other_versions_are_not_taken_for_todays(about: tuple[int, int], why: str, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "store.json").write_text(json.dumps({"format": about[0], "numerics": about[1]}))
    with pytest.raises(UserError, match=why):
        upgrade(Store(str(tmp_path / "old")), Store(str(tmp_path / "new")))
    assert not (tmp_path / "new").exists()


def test_a_later_format_is_refused_with_the_version_it_needs(tmp_path: Path) -> None:
    told = {"format": FORMAT_VERSION + 1, "numerics": 9, "needs": "7.1.0", "something": "new"}
    (tmp_path / "store.json").write_text(json.dumps(told | {"sha256": canonical_digest(told)}))
    for use in (Store.open, Store.create_or_open):
        with pytest.raises(UserError, match=r"kpe-pipeline 7\.1\.0 or later"):
            use(str(tmp_path))
    with pytest.raises(UserError, match=r"kpe-pipeline 7\.1\.0 or later"):
        upgrade(Store(str(tmp_path)), Store(str(tmp_path / "new")))
