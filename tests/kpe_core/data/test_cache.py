"""Prepared data on disk: made once, whole or not at all, by one of several processes, and again when a file changes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kpe_core.data import cache, datasets
from kpe_core.data.datasets import known_fingerprint
from kpe_core.errors import UserError
from kpe_core.study.specs import DataSpec
from tests.kpe_core.data import written
from tests.kpe_core.data.loading import RAW, loaded

X = np.random.default_rng(0).normal(size=(50, 3, 8, 8)).astype(np.float32)


@pytest.fixture
def array(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", X)
    return tmp_path / "x.npy"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders that were prepared, rather than found."""
    folders: list[Path] = []
    write = datasets._write

    def counting(spec: DataSpec, folder: Path) -> None:
        folders.append(folder)
        write(spec, folder)

    monkeypatch.setattr(datasets, "_write", counting)
    return folders


def entries(own_cache: Path) -> list[str]:
    return sorted(p.name for p in (own_cache / "prepared").iterdir() if not p.name.endswith(".lock"))


def test_prepared_on_disk_as_in_memory(array: Path) -> None:
    """The same split, preparation and numbers, whatever the blocks: against arithmetic on the whole array."""
    for scaling in ("raw", "centered"):
        data = loaded("array", array, prepare={"scaling": scaling, "pool": 4, "scale": 2.0}, seed=3)
        pooled = X.reshape(50, 3, 4, 2, 4, 2).mean(axis=(3, 5)).reshape(50, 48).astype(np.float64)
        order = np.random.Generator(np.random.Philox(key=[3, 0x5711])).permutation(50)
        train, rest = pooled[order[:40]], pooled[order[40:]]
        shift = train.mean(axis=0) if scaling == "centered" else 0.0
        factor = 2.0 / (train - shift).std() if scaling == "centered" else 2.0
        assert data.train == pytest.approx((train - shift) * factor, abs=1e-5)
        assert data.held_out == pytest.approx((rest - shift) * factor, abs=1e-5)


@pytest.mark.parametrize("block_bytes", [1, 5000, 20_000])
def test_blocks_change_nothing(block_bytes: int, array: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    whole = loaded("array", array)
    monkeypatch.setenv(cache.VARIABLE, str(own_cache / "other"))
    monkeypatch.setattr("kpe_core.data.rows.BLOCK_BYTES", block_bytes)
    parts = loaded("array", array)
    assert parts.train == pytest.approx(whole.train, abs=2e-6)
    assert np.array_equal(parts.train_labels, whole.train_labels)
    assert parts.affine.factor == pytest.approx(whole.affine.factor, rel=1e-12)


def test_made_once_and_mapped(array: Path, made: list[Path], own_cache: Path) -> None:
    first, again = loaded("array", array), loaded("array", array)
    assert len(made) == 1
    assert first.fingerprint == again.fingerprint
    assert isinstance(first.train.base.base, np.memmap) or isinstance(first.train.base, np.memmap)
    assert known_fingerprint(DataSpec(name="array", root=str(array))) == first.split_fingerprint
    fewer = loaded("array", array, n_train=10)
    assert len(made) == 1, "n_train moves nothing"
    assert (fewer.split_fingerprint, fewer.n_points) == (first.split_fingerprint, 10)
    assert len(entries(own_cache)) == 1


def test_what_one_process_writes_into_its_points_stays_with_it(array: Path) -> None:
    mine, other = loaded("array", array), loaded("array", array)
    before = other.train.copy()
    mine.train[:] = 0.0
    assert np.array_equal(loaded("array", array).train, before)


CHANGES: list[dict[str, Any]] = [{"seed": 1}, {"held_out": 0.5}, RAW, {"prepare": {"pool": 4}}, {"reference": 20}]


@pytest.mark.parametrize("change", CHANGES)
def test_every_choice_that_matters_makes_another(change: dict[str, Any], array: Path, made: list[Path]) -> None:
    before = loaded("array", array)
    after = loaded("array", array, **change)
    assert len(made) == 2
    assert after.fingerprint != before.fingerprint


def test_a_changed_file_is_read_again(array: Path, made: list[Path]) -> None:
    """Even one of the same size whose time of change was set back."""
    before, times = loaded("array", array), array.stat()
    np.save(array, X[::-1])
    os.utime(array, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert loaded("array", array).fingerprint != before.fingerprint
    assert len(made) == 2


def test_a_changed_picture_is_read_again_and_an_unread_one_is_not(tmp_path: Path, made: list[Path]) -> None:
    written.write_celeba(tmp_path)
    before = loaded("celeba", tmp_path)
    written.jpeg(tmp_path / "img_align_celeba" / "000006.jpg", written.smooth(99, 218, 178))  # validation
    assert loaded("celeba", tmp_path).fingerprint == before.fingerprint
    assert len(made) == 1
    written.jpeg(tmp_path / "img_align_celeba" / "000001.jpg", written.smooth(99, 218, 178))
    assert loaded("celeba", tmp_path).fingerprint != before.fingerprint
    assert len(made) == 2
    (tmp_path / "img_align_celeba" / "000001.jpg").unlink()
    with pytest.raises(UserError, match=r"000001.jpg: no such file"):
        loaded("celeba", tmp_path)


def test_a_touched_file_of_the_same_bytes_keeps_its_fingerprint(array: Path, made: list[Path]) -> None:
    before = loaded("array", array)
    os.utime(array)
    assert loaded("array", array).fingerprint == before.fingerprint
    assert len(made) == 2


def test_killed_while_preparing_leaves_nothing_that_counts(
    array: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(datasets, "_prepare", dies)
        with pytest.raises(KeyboardInterrupt):
            loaded("array", array)
    assert entries(own_cache) == []
    key = datasets._key(DataSpec(name="array", root=str(array)), [array])
    abandoned = own_cache / "prepared" / f"{key}.1234.partial"
    abandoned.mkdir()
    (abandoned / "train.f32").write_bytes(b"half")
    (own_cache / "prepared" / key).mkdir()  # a folder without its last words
    assert loaded("array", array, **RAW).train.shape == (40, 192)
    loaded("array", array)
    assert not abandoned.exists()


def test_a_cache_that_cannot_be_written_says_what_to_set(
    array: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"prepared data cannot be kept in .*file.*Set KPE_CACHE"):
        loaded("array", array)


def test_a_full_disk_is_seen_beforehand(array: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("kpe_core.data.cache.shutil.disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"would take 0.0 GB in .* lower data.reference or data.size"):
        loaded("array", array)


LOADING = """
import json, sys, time
from kpe_core.data import datasets
from kpe_core.study.specs import DataSpec
made, prepare = [], datasets._prepare
def slowly(*args):
    made.append(1)
    time.sleep(0.5)
    return prepare(*args)
datasets._prepare = slowly
while time.time() < float(sys.argv[2]):
    time.sleep(0.01)
data = datasets.load(DataSpec(name="array", root=sys.argv[1]))
print(json.dumps({"made": len(made), "fingerprint": data.fingerprint, "sum": float(data.train.sum())}))
"""


def test_processes_at_once_make_it_once_and_agree(array: Path, own_cache: Path) -> None:
    begin = str(time.time() + 4)
    running = [
        subprocess.Popen([sys.executable, "-c", LOADING, str(array), begin], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [json.loads(process.communicate(timeout=60)[0]) for process in running]
    assert sum(s["made"] for s in said) == 1
    assert len({(s["fingerprint"], s["sum"]) for s in said}) == 1
    assert len(entries(own_cache)) == 1
