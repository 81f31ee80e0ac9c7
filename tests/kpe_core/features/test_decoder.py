"""Latents decoded as diffusers decodes them, and everything that can be wrong with a VAE."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from kpe_core.data.datasets import Prepared
from kpe_core.errors import UserError
from kpe_core.features import decoder as module
from kpe_core.features.decoder import LatentDecoder, decoder_of, vae_sha256
from kpe_core.features.images import images_of
from kpe_core.report.pictures import pictures
from tests.kpe_core.data import written
from tests.kpe_core.data.loading import loaded
from tests.kpe_core.fields.pretrained.folders import unet, vae
from tests.kpe_core.fields.pretrained.written import ripple

FACTOR = 0.18215


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("decoder") / "vae"
    vae(path)
    return path


def prepared(tmp_path: Path, vae: Path, **choices: Any) -> Prepared:
    """Latents (4, 8, 8), centred and scaled, so that there is a preparation to undo."""
    root = tmp_path / "latents"
    root.mkdir(exist_ok=True)
    np.save(root / "0.npy", np.random.default_rng(0).normal(3, 5, size=(20, 4, 8, 8)).astype(np.float32))
    return loaded("latents", root, **({"scale_factor": FACTOR, "vae": str(vae)} | choices))


@torch.no_grad()
def test_pictures_are_what_diffusers_decodes(folder: Path, tmp_path: Path) -> None:
    """From prepared coordinates, through the preparation's undoing, to pictures in [0, 1]; the same in reports."""
    from diffusers import AutoencoderKL

    data = prepared(tmp_path, folder)
    stored = np.load(tmp_path / "latents" / "0.npy")
    theirs = AutoencoderKL.from_pretrained(folder).eval()
    expected = (theirs.decode(torch.from_numpy(stored)).sample.clamp(-1, 1) + 1) / 2
    x = (stored * np.float32(FACTOR) - data.affine.shift) * data.affine.factor
    seen = images_of(data)(torch.from_numpy(x.astype(np.float32)).reshape(20, -1))
    assert seen.shape == (20, 3, 16, 16)
    assert expected.std() > 0.01
    assert torch.allclose(seen, expected, atol=1e-5)
    drawn = pictures(data, x[:5].astype(np.float32))
    assert np.allclose(drawn[:, ::3, ::3], np.moveaxis(expected[:5].numpy(), 1, -1), atol=1e-5), "each pixel thrice"


def test_latents_stored_as_the_model_sees_them(folder: Path, tmp_path: Path) -> None:
    """Scaled already, with a factor of 1, they are the same latents."""
    unscaled = prepared(tmp_path, folder, prepare={"scaling": "raw"})
    one = images_of(unscaled)(torch.from_numpy(unscaled.train[:3].copy()))
    stored = np.load(tmp_path / "latents" / "0.npy")
    np.save(tmp_path / "latents" / "0.npy", stored * np.float32(FACTOR))
    again = loaded("latents", tmp_path / "latents", scale_factor=1.0, vae=str(folder), prepare={"scaling": "raw"})
    assert np.array_equal(again.train, unscaled.train)
    assert torch.equal(images_of(again)(torch.from_numpy(again.train[:3].copy())), one)


def test_a_few_at_a_time_and_the_same_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, x = LatentDecoder(folder), ripple(7, 4, 8, 8)
    whole = decoder.decode(x)
    assert torch.equal(LatentDecoder(folder).decode(x), whole)
    monkeypatch.setattr(module, "WIDEST_BYTES", 3 * 4 * 8 * 16 * 16)
    assert decoder.at_once(8, 8) == 3
    few = LatentDecoder(folder)
    sizes: list[int] = []
    of_network = few.network.decode
    monkeypatch.setattr(few.network, "decode", lambda z, **how: sizes.append(len(z)) or of_network(z, **how))
    assert torch.allclose(few.decode(x), whole, atol=1e-5)
    assert sizes == [3, 3, 1]
    few.decode(x)
    assert sizes == [3, 3, 1], "the next extractor sees what was decoded"
    few.decode(x[:2])
    assert sizes == [3, 3, 1, 2]


def test_stable_diffusions_vae_takes_four_at_a_time() -> None:
    """Without its weights: 128, 256, 512, 512 channels, latents 32×32, pictures 256×256."""
    decoder = object.__new__(LatentDecoder)
    decoder._widths = (128, 256, 512, 512)
    assert decoder.at_once(32, 32) == 4


def test_the_hash_is_of_what_decodes(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    assert vae_sha256(str(moved)) == vae_sha256(str(folder))
    (moved / "README.md").write_text("nothing")
    assert vae_sha256(str(moved)) == vae_sha256(str(folder))
    spoil(moved, lambda w: w | {"post_quant_conv.bias": w["post_quant_conv.bias"] + 1e-3})
    assert vae_sha256(str(moved)) != vae_sha256(str(folder))


# -- wrong ones --------------------------------------------------------------------------------------------------------


def spoil(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    path = folder / "diffusion_pytorch_model.safetensors"
    safetensors.torch.save_file(change(safetensors.torch.load_file(path)), path, {"format": "pt"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: {k: v for k, v in w.items() if k != "decoder.conv_in.bias"}, r"lack decoder.conv_in.bias$"),
        (lambda w: w | {"decoder.conv_in.bias": torch.zeros(9)}, r"cannot be loaded: .*decoder.conv_in.bias"),
        (
            lambda w: w | {"decoder.conv_in.bias": torch.full_like(w["decoder.conv_in.bias"], torch.nan)},
            r"hold NaN or infinity in decoder.conv_in.bias$",
        ),
    ],
)
def test_wrong_weights(folder: Path, tmp_path: Path, change: Callable, message: str) -> None:
    shutil.copytree(folder, tmp_path / "vae")
    spoil(tmp_path / "vae", change)
    with pytest.raises(UserError, match=message):
        decoder_of(prepared(tmp_path, tmp_path / "vae"))


def test_cut_short(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "vae")
    path = tmp_path / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="vae cannot be loaded"):
        decoder_of(prepared(tmp_path, tmp_path / "vae"))
    path.unlink()
    with pytest.raises(UserError, match=r"the weights are missing; looked for .*/vae/diffusion_pytorch_model.safeten"):
        decoder_of(prepared(tmp_path, tmp_path / "vae"))


def test_another_model(tmp_path: Path) -> None:
    unet(tmp_path / "unet")
    with pytest.raises(UserError, match=r"data.vae: .*/unet holds a UNet2DModel, and an AutoencoderKL is wanted"):
        LatentDecoder(tmp_path / "unet")
    with pytest.raises(
        UserError, match=r"data.vae, .* is missing; looked for .*/nowhere/config.json. It is the vae folder of"
    ):
        LatentDecoder(tmp_path / "nowhere")


def test_latents_it_cannot_have_encoded(folder: Path, tmp_path: Path) -> None:
    data = prepared(tmp_path, folder)
    with pytest.raises(UserError, match=r"decodes latents of 4 channels; 'latents' has 16 \(16, 4, 4\)"):
        decoder_of(replace(data, shape=(16, 4, 4)))
    with pytest.raises(
        UserError, match=r"scales its latents by 0.18215, and data.scale_factor is 0.2; set it to 0.18215, or to 1"
    ):
        decoder_of(prepared(tmp_path, folder, scale_factor=0.2))
    with pytest.raises(
        UserError, match=r"latents of shape \(4, 8, 8\), and a pretrained network looks at pictures: give"
    ):
        images_of(replace(data, vae=None))
    with pytest.raises(
        UserError, match=r"data.vae decodes latents, and 'array' has points of shape \(8, 8\); remove it"
    ):
        images_of(replace(data, name="array", kind="image", shape=(8, 8)))


def test_without_a_vae_reports_show_false_colour(tmp_path: Path) -> None:
    written.write_latents(tmp_path)
    data = loaded("latents", tmp_path, scale_factor=1.0)
    assert pictures(data, data.train[:2].reshape(2, 4, 32, 32)).shape == (2, 32, 32, 3)
