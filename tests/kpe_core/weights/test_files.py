"""Files that are missing, files that change, configurations that are none."""

import os
from pathlib import Path

import pytest

from kpe_core.errors import UserError
from kpe_core.weights.files import found, read_json, sha256_of, sha256_of_all


def test_a_missing_file_says_where_it_was_looked_for_and_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"weights of X is missing; looked for {tmp_path}/w\.pth\. It is on the shelf"):
        found("w.pth", "weights of X", "It is on the shelf")


def test_the_hash_follows_the_bytes_and_in_a_folder_the_names(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"abc")
    assert sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    folder, all_ = sha256_of(tmp_path), sha256_of_all([path], tmp_path)
    path.write_bytes(b"abd")
    os.utime(path, ns=(1, 1))  # another time, the same size
    assert sha256_of(tmp_path) != folder
    assert sha256_of_all([path], tmp_path) != all_
    path.write_bytes(b"abc")
    assert (sha256_of(tmp_path), sha256_of_all([path], tmp_path)) == (folder, all_)
    path.rename(tmp_path / "v")
    assert sha256_of(tmp_path) != folder


@pytest.mark.parametrize("text", ["[1]", '{"a": ', ""])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config.json is no JSON object"):
        read_json(tmp_path / "config.json")
