"""Models' files that are right, and all the ways in which they are wrong. Nothing in them runs."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from kpe_core.errors import UserError
from kpe_core.fields.pretrained.field import PretrainedVelocity
from kpe_core.fields.pretrained.layouts import load, weights_hash
from kpe_core.study.specs import PretrainedField
from kpe_core.weights.tensors import read_tensors, resaving
from tests.kpe_core.fields.pretrained.written import authors_file, authors_shapes, patterned, torchcfm_file

SHAPES = authors_shapes(8, (1, 2), (False, True))


def authors(path: Path) -> PretrainedField:
    return PretrainedField.model_validate({"kind": "pretrained", "layout": "authors_unet", "path": str(path)})


def save(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    torch.save(tensors, path)
    return path


def test_the_wrapper_s_prefix_and_the_format_do_not_matter(tmp_path: Path) -> None:
    from_wrapper = read_tensors(authors_file(tmp_path / "Model_250"))
    safetensors.torch.save_file(patterned(SHAPES), tmp_path / "same.safetensors")
    plain = read_tensors(tmp_path / "same.safetensors")
    assert set(from_wrapper) == set(plain) == set(SHAPES)
    assert all(torch.equal(from_wrapper[k], plain[k]) for k in plain)


def test_the_entries_of_a_checkpoint(tmp_path: Path) -> None:
    path = torchcfm_file(tmp_path / "c.pt")
    averaged, plain = read_tensors(path), read_tensors(path, "net_model")
    assert torch.allclose(plain["out.2.bias"], averaged["out.2.bias"] + 0.01)
    with pytest.raises(UserError, match=r"has no state_dict 'ema'; it has net_model, ema_model$"):
        read_tensors(path, "ema")


class Bomb:
    """What a pickle can do to whoever loads it."""

    def __init__(self, fuse: Path) -> None:
        self.fuse = fuse

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.fuse}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_bomb_does_not_go_off(tmp_path: Path, zipped: bool) -> None:
    """Neither in torch's format nor as a bare pickle; and it would have gone off."""
    path, fuse = tmp_path / "Model_250", tmp_path / "went-off"
    if zipped:
        torch.save({"init_conv.weight": torch.zeros(2), "x": Bomb(fuse)}, path)
    else:
        path.write_bytes(pickle.dumps({"x": Bomb(fuse)}, protocol=2))
    with pytest.raises(
        UserError, match=r"is a pickle that wants \S*system.*it was not loaded. If you trust it, save its tensors"
    ):
        load(authors(path))
    assert not fuse.exists()
    torch.load(path, weights_only=False) if zipped else pickle.loads(path.read_bytes())
    assert fuse.exists()


def test_the_way_out_is_one(tmp_path: Path) -> None:
    """The line that the refusal prints, run as printed."""
    path = tmp_path / "Model_250.pt"
    torch.save({"ema_model": patterned(SHAPES), "who": Bomb(tmp_path / "went-off")}, path)
    command = resaving(path).replace("python", sys.executable, 1)
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    saved = read_tensors(tmp_path / "Model_250.safetensors")
    assert set(saved) == set(SHAPES)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_truncated_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    if suffix == ".pt":
        torch.save(patterned(SHAPES), path)
    else:
        safetensors.torch.save_file(patterned(SHAPES), path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UserError, match=r"cannot be read \(.*\); it may be cut short: fetch it again"):
        load(authors(path))


def test_an_empty_file_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot be read \(.*\); it may be cut short"):
        load(authors(tmp_path / "empty"))
    with pytest.raises(UserError, match=r"the model \(layout authors_unet\) is missing; looked for .*/gone"):
        load(authors(tmp_path / "gone"))


def test_wrong_keys_are_counted_and_named(tmp_path: Path) -> None:
    tensors = patterned(SHAPES)
    lacking = {k: v for k, v in tensors.items() if not k.endswith("block2.norm.bias")}
    with pytest.raises(
        UserError, match=r"authors_unet: it lacks \(12 of 185 keys\): encoder_blocks.0.block2.norm.bias, "
    ):
        load(authors(save(tmp_path / "a", lacking)))
    extra = tensors | {"label_embedding.weight": torch.zeros(3)}
    with pytest.raises(UserError, match=r"it has unknown keys \(1\): label_embedding.weight"):
        load(authors(save(tmp_path / "b", extra)))


def test_wrong_shapes_kinds_and_numbers(tmp_path: Path) -> None:
    tensors = patterned(SHAPES)
    shape = tensors | {"encoder_blocks.0.dense.weight": torch.zeros(8, 31)}
    with pytest.raises(UserError, match=r"other shapes: encoder_blocks.0.dense.weight \(8, 31\) instead of \(8, 32\)"):
        load(authors(save(tmp_path / "a", shape)))
    kind = tensors | {"init_conv.bias": torch.zeros(8, dtype=torch.int8)}
    with pytest.raises(UserError, match=r"has numbers of another kind: init_conv.bias torch.int8"):
        load(authors(save(tmp_path / "b", kind)))
    nan = tensors | {"init_conv.bias": torch.full((8,), float("nan"))}
    with pytest.raises(UserError, match=r"has NaN or infinity: init_conv.bias"):
        load(authors(save(tmp_path / "c", nan)))


def test_a_file_of_something_else(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list")
    with pytest.raises(UserError, match="holds a list, not a state_dict"):
        load(authors(tmp_path / "list"))
    torch.save({"step": 3, "lr": 0.1}, tmp_path / "numbers")
    with pytest.raises(UserError, match="holds no state_dict; its keys are step, lr"):
        load(authors(tmp_path / "numbers"))
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "program"))
    with pytest.raises(UserError, match=r"is a program, not tensors; a field can be one \(layout: torchscript\)"):
        load(authors(tmp_path / "program"))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 8, 8), r"takes images of 1 channels; the data.* have 3"),
        ((7, 7), r"takes images whose sides divide by 2; the data's are \(7, 7\)"),
        ((2,), r"is a model of images; the data as prepared have points of shape \(2,\)"),
    ],
)
def test_data_it_cannot_take(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    spec = authors(authors_file(tmp_path / "Model_250"))
    with pytest.raises(UserError, match=message):
        PretrainedVelocity(spec, load(spec), shape)


def test_the_hash_is_the_content_s(tmp_path: Path) -> None:
    shutil.copy(authors_file(tmp_path / "a"), tmp_path / "b")
    a, b = authors(tmp_path / "a"), authors(tmp_path / "b")
    assert weights_hash(a) == weights_hash(b)
    with open(tmp_path / "b", "ab") as f:
        f.write(b" ")
    assert weights_hash(a) != weights_hash(b)
