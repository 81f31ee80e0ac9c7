"""MNIST and FashionMNIST: idx files, gzipped or not."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kpe_core.errors import UserError
from tests.kpe_core.data import written
from tests.kpe_core.data.loading import RAW, labelled, loaded

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("zipped", [True, False])
def test_holds_what_was_written(name: str, zipped: bool, tmp_path: Path) -> None:
    arrays = written.write_idx(tmp_path, zipped)
    data = loaded(name, tmp_path, **RAW)
    assert (data.kind, data.shape, data.n_classes, data.value_range) == ("image", (28, 28), 10, (0.0, 255.0))
    assert labelled(data.train, data.train_labels) == labelled(arrays[IMAGES], arrays[LABELS])
    test = [arrays[f"t10k-{rest}"] for rest in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    assert labelled(data.held_out, data.held_out_labels) == labelled(*test)
    assert data.class_names[1] == {"mnist": "1", "fashion_mnist": "Trouser"}[name]


def test_other_spellings_of_the_names_are_found(tmp_path: Path) -> None:
    written.write_idx(tmp_path / "raw", zipped=False)
    before = loaded("mnist", tmp_path).fingerprint
    for path in (tmp_path / "raw").iterdir():
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert loaded("mnist", tmp_path).fingerprint == before


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (IMAGES, lambda b: b[:-1], r"says shape \(40, 28, 28\) and holds 31359 values: not whole"),
        (IMAGES, lambda b: b[:7], "not an idx file of 3 dimensions"),
        (IMAGES, lambda b: b"", "not an idx file of 3 dimensions"),
        (IMAGES, lambda b: b"<html></html>", "not an idx file of 3 dimensions"),
        (IMAGES, lambda b: b[:2] + b"\x0d" + b[3:], "an idx file of type 0x0d; unsigned bytes"),
        (LABELS, lambda b: written.idx_bytes(np.zeros((40, 28, 28))), "not an idx file of 1 dimensions"),
        (LABELS, lambda b: b[:-1] + b"\x0a", "label 10 is out of range: there are 10 classes"),
        (LABELS, lambda b: written.idx_bytes(np.zeros(39)), "holds 39 labels, and .* 40 images"),
        (IMAGES, lambda b: struct.pack(">I3I", 0x803, 2**31, 2**31, 2**31), "not whole"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("zipped", [True, False])
def test_damage_is_named(file: str, content: Any, message: str, zipped: bool, tmp_path: Path) -> None:
    arrays = written.write_idx(tmp_path, zipped)
    damaged = content(written.idx_bytes(arrays[file]))
    path = tmp_path / (file + (".gz" if zipped else ""))
    path.write_bytes(gzip.compress(damaged) if zipped else damaged)
    with pytest.raises(UserError, match=rf"{path.name}: .*{message}"):
        loaded("mnist", tmp_path)


def test_a_truncated_gzip_is_named(tmp_path: Path) -> None:
    written.write_idx(tmp_path)
    path = tmp_path / f"{IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match="not a whole gzip file"):
        loaded("mnist", tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    written.write_idx(tmp_path)
    (tmp_path / f"{LABELS}.gz").unlink()
    with pytest.raises(UserError, match=rf"{LABELS} is missing; .*yann.lecun.com"):
        loaded("mnist", tmp_path)
