"""VAE latents in shards, with a scale factor somebody declares."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from kpe_core.errors import UserError
from tests.kpe_core.data import written
from tests.kpe_core.data.loading import RAW, labelled, loaded

SCALE = 0.18215


@pytest.mark.parametrize("kind", ["safetensors", "npy"])
def test_shards_are_read_and_scaled(kind: str, tmp_path: Path) -> None:
    stored = written.write_latents(tmp_path, kind)
    data = loaded("latents", tmp_path, scale_factor=SCALE, **RAW)
    assert (data.kind, data.shape, data.channels, data.is_image) == ("latent", (4, 32, 32), 4, False)
    assert (data.class_names, data.scale_factor) == (("0", "1", "2"), SCALE)
    x = np.concatenate([data.train, data.held_out])
    y = np.concatenate([data.train_labels, data.held_out_labels])
    said = np.concatenate([np.arange(n) % 3 for n in (7, 5)])
    assert labelled(x, y) == labelled(stored.astype(np.float32) * np.float32(SCALE), said)


def test_the_sidecar_declares_scale_and_names(tmp_path: Path) -> None:
    written.write_latents(tmp_path)
    spoken = loaded("latents", tmp_path, scale_factor=SCALE)
    names = ["tench", "goldfish", "shark"]
    (tmp_path / "latents.json").write_text(json.dumps({"scale_factor": SCALE, "class_names": names}))
    data = loaded("latents", tmp_path)
    assert (data.class_names, data.scale_factor) == (tuple(names), SCALE)
    assert np.array_equal(data.train, spoken.train)
    (tmp_path / "latents.json").write_text(json.dumps({"scale_factor": SCALE, "class_names": names[:2]}))
    with pytest.raises(UserError, match=r"label 2 is out of range: latents.json names 2 classes"):
        loaded("latents", tmp_path)
    (tmp_path / "latents.json").write_text("{")
    with pytest.raises(UserError, match=r"latents.json: not valid JSON"):
        loaded("latents", tmp_path)


@pytest.mark.parametrize("sidecar", [{"scale_factor": SCALE, "class_names": 1}, [SCALE]])
def test_a_sidecar_of_another_form_is_named(sidecar: object, tmp_path: Path) -> None:
    written.write_latents(tmp_path)
    (tmp_path / "latents.json").write_text(json.dumps(sidecar))
    with pytest.raises(UserError, match=r"latents.json: not of the form"):
        loaded("latents", tmp_path)


def test_latents_without_a_number_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "000.npy", np.zeros((5, 0, 4, 4), np.float32))
    with pytest.raises(UserError, match=r"000.npy: latents of shape \(0, 4, 4\) hold no number"):
        loaded("latents", tmp_path, scale_factor=SCALE)


def test_a_scale_nobody_declares_is_asked_for(tmp_path: Path) -> None:
    written.write_latents(tmp_path)
    with pytest.raises(UserError, match=r"scale factor .* is not declared; set data.scale_factor .*latents.json"):
        loaded("latents", tmp_path)


def test_without_labels_there_is_one_class(tmp_path: Path) -> None:
    written.write_latents(tmp_path, labels=False)
    assert loaded("latents", tmp_path, scale_factor=1.0).class_names == ("all",)


def test_mistakes_are_named(tmp_path: Path) -> None:
    root = tmp_path / "latents"
    with pytest.raises(UserError, match=r"any shard of latents is missing; looked for .*safetensors or .*npy"):
        loaded("latents", root, scale_factor=1.0)
    written.write_latents(root)
    shard = root / "shard_001.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1000])
    with pytest.raises(UserError, match=r"shard_001.safetensors: not a whole safetensors file"):
        loaded("latents", root, scale_factor=1.0)
    z, y = np.zeros((5, 4, 32, 32), np.float32), np.zeros(5, np.int64)
    for tensors, message in [
        ({"z": z}, r"it has no tensor `latents`, only z"),
        ({"latents": np.zeros((5, 4, 32), np.float32)}, r"latents of shape \(N, 4, 32\); \(N, C, H, W\) is wanted"),
        ({"latents": np.zeros((5, 4, 16, 16), np.float32), "labels": y}, r"shape \(4, 16, 16\), and \(4, 32, 32\)"),
        ({"latents": np.zeros((5, 8, 32, 32), np.float32)}, r"8 channels are a mean and a log variance"),
        ({"latents": z.astype(np.int8)}, r"latents of type I8"),
        ({"latents": z}, r"it has no labels, and other shards have"),
        ({"latents": z, "labels": y[:4]}, r"labels of shape \(4,\), and 5 points"),
        ({"latents": z, "labels": y - 1}, r"label -1 is out of range"),
        ({"latents": z, "labels": y.astype(np.float32)}, r"labels of type float32; whole numbers"),
        ({"latents": z * np.float32(np.nan), "labels": y}, r"point \d+ holds values that are not finite"),
    ]:
        save_file(tensors, shard)
        with pytest.raises(UserError, match=message):
            loaded("latents", root, scale_factor=1.0)
