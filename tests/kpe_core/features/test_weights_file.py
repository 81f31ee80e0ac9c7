"""Weights files that are missing, cut short, of other shape, or want code to be run: each is named, none is trusted."""

import os
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from kpe_core.errors import UserError
from kpe_core.features.weights_file import fill, found, sha256_of, tensors_of

NETWORK = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_a_missing_file_says_where_it_was_looked_for_and_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"weights of X: {tmp_path}/w\.pth does not exist. It is on the shelf"):
        found("w.pth", "weights of X", "It is on the shelf")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_tensors_come_back_and_the_hash_follows_the_bytes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w.{suffix}"
    save(NETWORK.state_dict(), path)
    back = tensors_of(path)
    assert all(torch.equal(back[k], v) for k, v in NETWORK.state_dict().items())
    before = sha256_of(path)
    save({k: v + 1 for k, v in NETWORK.state_dict().items()}, path)
    os.utime(path, ns=(1, 1))  # another time, the same size
    assert sha256_of(path) != before


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("keep", [0, 10, 500])
def test_a_file_cut_short_is_refused(tmp_path: Path, suffix: str, keep: int) -> None:
    path = tmp_path / f"w.{suffix}"
    save(NETWORK.state_dict(), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"not a readable weights file"):
        tensors_of(path)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("bang",)


def test_a_pickle_that_wants_code_is_refused_and_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"w": torch.zeros(2), "x": Bomb()}, "bomb.pth")
    with pytest.raises(UserError, match=r"could run code, so it is not loaded\. Save its state_dict alone"):
        tensors_of(tmp_path / "bomb.pth")
    assert not Path("bang").exists()


def test_a_state_dict_may_lie_one_level_down_and_anything_else_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": NETWORK.state_dict(), "step": 3}, tmp_path / "w.pth")
    assert set(tensors_of(tmp_path / "w.pth")) == set(NETWORK.state_dict())
    torch.save([1, 2], tmp_path / "w.pth")
    with pytest.raises(UserError, match="holds no state_dict"):
        tensors_of(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"0.bias": None}, "without 0.bias"),
        ({"2.bias": torch.zeros(1)}, "with unknown 2.bias"),
        ({"0.weight": torch.zeros(4, 3)}, r"of other shape: 0.weight \(4, 3\), not \(2, 3\)"),
        ({"0.bias": torch.tensor([1.0, torch.nan])}, "not finite: 0.bias"),
    ],
)
def test_other_weights_are_refused_with_the_key(change: dict[str, Any], told: str) -> None:
    tensors = {k: v for k, v in ({**NETWORK.state_dict(), **change}).items() if v is not None}
    with pytest.raises(UserError, match=rf"w.pth is not a tiny net: {told}"):
        fill(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), tensors, Path("w.pth"), "a tiny net")


def save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(tensors, path)
    else:
        torch.save(tensors, path)
