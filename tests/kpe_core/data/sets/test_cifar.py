"""CIFAR's python version: pickles of Python 2, in a folder or the tarball, checked before they are read."""

import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kpe_core.data import registry
from kpe_core.data.sets import cifar
from kpe_core.data.sets.unpickle import unpickle
from kpe_core.errors import UserError
from kpe_core.packages import declare_torchvision_operators
from tests.kpe_core.data import written
from tests.kpe_core.data.loading import RAW, labelled, loaded

EDITIONS = {"cifar10": cifar.CIFAR10, "cifar100": cifar.CIFAR100}
Files = dict[str, bytes]


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Files], cifar.Edition]:
    """Declare these files the published ones: their checksums are then right."""

    def as_published(name: str, files: Files) -> cifar.Edition:
        edition = written.published(EDITIONS[name], files)
        monkeypatch.setitem(registry.SETS, name, cifar.cifar_set(edition))
        return edition

    return as_published


@pytest.mark.parametrize("name", EDITIONS)
def test_folder_and_tarball_hold_what_was_written(name: str, tmp_path: Path, publish: Any) -> None:
    files = written.cifar_files(EDITIONS[name])
    edition = publish(name, files)
    written.write_folder(tmp_path / "folder", edition, files)
    tarball = written.write_tarball(tmp_path / "tarball", edition, files)
    data = loaded(name, tmp_path / "folder", **RAW)
    batches = {n: pickle.loads(files[n], encoding="bytes") for n in (*edition.train, *edition.test)}

    def said(names: Any) -> Any:
        labels = np.concatenate([batches[n][edition.labels_key] for n in names])
        return labelled(np.concatenate([batches[n][b"data"] for n in names]), labels)

    assert (data.kind, data.shape, data.channels, data.n_classes) == ("image", (3, 32, 32), 3, 10)
    assert labelled(data.train, data.train_labels) == said(edition.train)
    assert labelled(data.held_out, data.held_out_labels) == said(edition.test)
    assert data.class_names[3] == "class 3"
    for other in (tmp_path / "tarball", tarball, tmp_path / "folder" / edition.folder):
        assert loaded(name, other, **RAW).fingerprint == data.fingerprint


def test_grey_is_torchvisions(tmp_path: Path, publish: Any) -> None:
    declare_torchvision_operators()
    from torchvision.transforms import functional

    files = written.cifar_files(cifar.CIFAR10)
    written.write_folder(tmp_path, publish("cifar10", files), files)
    colour, grey = (loaded("cifar10", tmp_path, colour=c, **RAW) for c in (True, False))
    theirs = functional.rgb_to_grayscale(torch.from_numpy(colour.train.reshape(-1, 3, 32, 32)))
    assert grey.shape == (32, 32)
    assert grey.train == pytest.approx(theirs.numpy().reshape(-1, 1024), abs=1e-3)


def test_published_checksums_are_asked_for(tmp_path: Path) -> None:
    files = written.cifar_files(cifar.CIFAR10)
    written.write_folder(tmp_path, cifar.CIFAR10, files)
    with pytest.raises(
        UserError, match=r"data_batch_1: its MD5 is \w+, the published one c99cafc152244af753f735de768cd75f"
    ):
        loaded("cifar10", tmp_path)


def test_a_truncated_batch_or_tarball_is_named(tmp_path: Path, publish: Any) -> None:
    files = written.cifar_files(cifar.CIFAR10)
    edition = publish("cifar10", files)
    written.write_folder(tmp_path / "a", edition, files)
    batch = tmp_path / "a" / edition.folder / "data_batch_3"
    batch.write_bytes(files["data_batch_3"][:-100])
    with pytest.raises(UserError, match=r"data_batch_3: its MD5 is .* not the whole file; fetch it again"):
        loaded("cifar10", tmp_path / "a")
    tarball = written.write_tarball(tmp_path / "b", edition, files)
    tarball.write_bytes(tarball.read_bytes()[:100_000])
    with pytest.raises(UserError, match=r"cifar-10-python.tar.gz: not a whole tarball"):
        loaded("cifar10", tmp_path / "b")


def test_a_missing_batch_is_named(tmp_path: Path, publish: Any) -> None:
    files = written.cifar_files(cifar.CIFAR10)
    edition = publish("cifar10", files)
    written.write_folder(tmp_path, edition, files)
    (tmp_path / edition.folder / "data_batch_4").unlink()
    with pytest.raises(
        UserError, match=r"data_batch_4 is missing; looked for .*data_batch_4. It comes from the CIFAR page"
    ):
        loaded("cifar10", tmp_path)
    with tarfile.open(tmp_path / edition.tarball, "w:gz") as tar:
        tar.add(tmp_path / edition.folder, edition.folder)
    with pytest.raises(UserError, match=r"it lacks data_batch_4"):
        loaded("cifar10", tmp_path / edition.tarball)


def test_nothing_there_says_where_it_comes_from_and_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KPE_DATA", str(tmp_path))
    from kpe_core.data.datasets import load
    from kpe_core.study.specs import DataSpec

    with pytest.raises(UserError) as told:
        load.__wrapped__(DataSpec(name="cifar10"))
    for part in ("cifar-10-python.tar.gz", str(tmp_path / "cifar10"), "cs.toronto.edu", "data.root", "KPE_DATA"):
        assert part in str(told.value)


def changed(files: Files, name: str, **values: Any) -> Files:
    content = {k.decode(): v for k, v in pickle.loads(files[name], encoding="bytes").items()}
    return files | {name: written.python2_pickle(content | values)}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data": np.zeros((20, 3071), np.uint8)}, r"uint8 of shape \(N, 3072\), and is uint8 of shape \(20, 3071\)"),
        ({"data": np.zeros((20, 3072), np.float32)}, r"and is float32 of shape \(20, 3072\)"),
        ({"data": "no array"}, "and is bytes"),
        ({"labels": [0] * 19}, "labels should be 20 class numbers"),
        ({"labels": [-1] * 20}, "labels should be 20 class numbers"),
        ({"labels": [10] * 20}, r"label 10 is out of range: there are 10 classes"),
    ],
)
def test_wrong_arrays_and_labels_are_named(values: dict[str, Any], message: str, tmp_path: Path, publish: Any) -> None:
    files = changed(written.cifar_files(cifar.CIFAR10), "data_batch_2", **values)
    written.write_folder(tmp_path, publish("cifar10", files), files)
    with pytest.raises(UserError, match=message):
        loaded("cifar10", tmp_path)


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("tarball", [False, True])
def test_a_pickle_bomb_does_not_go_off(tarball: bool, tmp_path: Path, publish: Any) -> None:
    """Even where its checksum is right."""
    marker = tmp_path / "it went off"
    bomb = pickle.dumps({b"data": Bomb(marker), b"labels": []}, protocol=2)
    pickle.loads(bomb)
    assert marker.exists(), "a bomb it is"
    marker.unlink()
    files = written.cifar_files(cifar.CIFAR10) | {"data_batch_1": bomb}
    edition = publish("cifar10", files)
    (written.write_tarball if tarball else written.write_folder)(tmp_path, edition, files)
    with pytest.raises(UserError, match=r"data_batch_1.*refused: it wants to call .*Nothing of it was run"):
        loaded("cifar10", tmp_path)
    assert not marker.exists()


BOMBS = {
    "os.system": b"cos\nsystem\n(S'true'\ntR.",
    "builtins.eval": b"cbuiltins\neval\n(S'1'\ntR.",
    "numpy.load": b"cnumpy\nload\n(S'x'\ntR.",
    "numpy.ndarray.tofile": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_only_what_arrays_need_is_admitted(name: str) -> None:
    with pytest.raises(pickle.UnpicklingError, match=rf"it wants to call {name}"):
        unpickle(BOMBS[name])


@pytest.mark.parametrize("protocol", range(5))
def test_arrays_of_any_protocol_are_read(protocol: int) -> None:
    value = {b"x": np.arange(6, dtype=np.uint8).reshape(2, 3), b"y": [1, 2], b"z": {b"a": (1.5, None)}}
    back = unpickle(pickle.dumps(value, protocol=protocol))
    assert np.array_equal(back.pop(b"x"), value.pop(b"x"))
    assert back == value


@pytest.mark.parametrize("data", [b"", b"\x80", b"garbage", b"\x80\x02}q\x00(U\x04data"])
def test_no_pickle_is_no_traceback(data: bytes) -> None:
    with pytest.raises(pickle.UnpicklingError):
        unpickle(data)


@pytest.mark.parametrize(
    "data",
    [
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I3000000000\ntS'O'\ntR.",
        b"cnumpy\nndarray\n((I3000000000\ntS'O'\ntR.",
        b"cnumpy\ndtype\n(S'O'\ntR.",
        b"cnumpy\ndtype\n(S'V4000000000'\ntR.",
    ],
)
def test_a_pickle_cannot_fill_the_memory(data: bytes) -> None:
    """Found by fuzzing: the functions that arrays need make arrays of any size, of objects too."""
    with pytest.raises(pickle.UnpicklingError):
        unpickle(data)


HEAD = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x04\x85"
"""An empty array, and the beginning of its state: version 1, shape (4,)."""
TYPE = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"


def test_a_state_is_not_believed() -> None:
    """Found by fuzzing: NumPy crashes on types whose flags or fields are not their own."""
    whole = HEAD + TYPE + b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x04abcdtb."
    assert unpickle(whole).tolist() == [97, 98, 99, 100]
    flags = whole.replace(b"K\x00tb\x89", b"K\xfftb\x89")
    assert unpickle(flags).tolist() == [97, 98, 99, 100], "flags are not read"
    for spoiled in (
        whole.replace(b"U\x01|", b"U\x01O"),
        whole.replace(b"U\x04abcd", b"U\x03abc"),
        whole.replace(b"U\x04abcd", b"]"),
        HEAD + b"N\x89U\x04abcdtb.",
    ):
        with pytest.raises(pickle.UnpicklingError):
            unpickle(spoiled)


def test_class_names_that_are_no_text(tmp_path: Path, publish: Any) -> None:
    files = written.cifar_files(cifar.CIFAR10)
    names = pickle.dumps({"label_names": [b"caf\xe9"] * 10}, protocol=2)
    edition = publish("cifar10", files | {"batches.meta": names})
    written.write_folder(tmp_path, edition, files | {"batches.meta": names})
    with pytest.raises(UserError, match=r"label_names should be a list of class names"):
        loaded("cifar10", tmp_path)
