"""Tensors' files that are cut short, of other shape, or want code to be run: each is named, none is trusted."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from kpe_core.errors import UserError
from kpe_core.weights.tensors import fill, read_tensors

NETWORK = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_tensors_come_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w.{suffix}"
    save(NETWORK.state_dict(), path)
    back = read_tensors(path)
    assert all(torch.equal(back[k], v) for k, v in NETWORK.state_dict().items())


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("keep", [0, 10, 500])
def test_a_file_cut_short_is_refused(tmp_path: Path, suffix: str, keep: int) -> None:
    path = tmp_path / f"w.{suffix}"
    save(NETWORK.state_dict(), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"cannot be read \(.*\); it may be cut short: fetch it again"):
        read_tensors(path)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("bang",)


def test_a_pickle_that_wants_code_is_refused_and_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"w": torch.zeros(2), "x": Bomb()}, "bomb.pth")
    with pytest.raises(UserError, match=r"could run any program; it was not loaded\. If you trust it, save its"):
        read_tensors(tmp_path / "bomb.pth")
    assert not Path("bang").exists()


def test_a_state_dict_may_lie_one_level_down_and_a_list_is_none(tmp_path: Path) -> None:
    torch.save({"state_dict": NETWORK.state_dict(), "step": 3}, tmp_path / "w.pth")
    assert set(read_tensors(tmp_path / "w.pth")) == set(NETWORK.state_dict())
    torch.save([1, 2], tmp_path / "w.pth")
    with pytest.raises(UserError, match="holds a list, not a state_dict"):
        read_tensors(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"0.bias": None}, "it lacks (1 of 6 keys): 0.bias"),
        ({"2.bias": torch.zeros(1)}, "it has unknown keys (1): 2.bias"),
        ({"0.weight": torch.zeros(4, 3)}, "it has other shapes: 0.weight (4, 3) instead of (2, 3)"),
        ({"0.bias": torch.zeros(2, dtype=torch.int8)}, "it has numbers of another kind: 0.bias torch.int8"),
        ({"0.bias": torch.tensor([1.0, torch.nan])}, "it has NaN or infinity: 0.bias"),
    ],
)
def test_other_weights_are_refused_with_the_key(change: dict[str, Any], told: str) -> None:
    tensors = {k: v for k, v in ({**NETWORK.state_dict(), **change}).items() if v is not None}
    with pytest.raises(UserError, match=re.escape(f"w.pth is not a tiny net: {told}")):
        fill(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), tensors, Path("w.pth"), "a tiny net")


def test_counters_may_be_lacking() -> None:
    """Of batches seen in training: files of older versions have none."""
    tensors = {k: v + 1 for k, v in NETWORK.state_dict().items() if "num_batches" not in k}
    other = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    fill(other, tensors, Path("w.pth"), "a tiny net")
    assert all(torch.equal(other.state_dict()[k], v) for k, v in tensors.items())


def save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(tensors, path)
    else:
        torch.save(tensors, path)
