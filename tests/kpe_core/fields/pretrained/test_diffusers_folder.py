"""Folders as diffusers itself saves them, tiny; and broken ones. No request leaves."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from kpe_core.errors import UserError
from kpe_core.fields.pretrained.field import PretrainedVelocity, pretrained_field
from kpe_core.fields.pretrained.inspect import look_at
from kpe_core.fields.pretrained.layouts import load, weights_hash
from kpe_core.packages import declare_torchvision_operators
from kpe_core.study.specs import PretrainedField
from tests.kpe_core.fields.pretrained.folders import dit, scheduler, shards, unet, vae
from tests.kpe_core.fields.pretrained.written import ripple

declare_torchvision_operators()


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a request left the machine")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def field(path: Path, shape: tuple[int, ...] = (8, 8), **choices: object) -> PretrainedVelocity:
    spec = PretrainedField.model_validate({"kind": "pretrained", "layout": "diffusers", "path": str(path)} | choices)
    return pretrained_field(spec, shape, weights_hash(spec))


X = ripple(3, 64).double()


@torch.no_grad()
def test_a_bare_unet_is_a_velocity(tmp_path: Path) -> None:
    model = unet(tmp_path)
    expected = model(X.float().view(3, 1, 8, 8), torch.full((3,), 0.3)).sample.reshape(3, -1)
    assert torch.allclose(field(tmp_path).evaluate(X, 0.3).velocity, expected, atol=1e-6)


@torch.no_grad()
def test_a_ddpm_pipeline_is_converted_by_its_own_scheduler(tmp_path: Path) -> None:
    """Held against one step of diffusers' DDIM: both are the same ODE, written in other coordinates."""
    from diffusers import DDIMScheduler

    model = unet(tmp_path / "unet")
    scheduler(tmp_path, num_train_timesteps=1000)
    ours = field(tmp_path)
    ddim = DDIMScheduler(num_train_timesteps=1000, clip_sample=False, set_alpha_to_one=False)
    s, before = 501, 500
    a, b = (ddim.alphas_cumprod[i].sqrt().double() for i in (s, before))
    na, nb = (1 - a**2).sqrt(), (1 - b**2).sqrt()
    noise = model(X.float().view(3, 1, 8, 8), torch.full((3,), s)).sample
    ddim.set_timesteps(1000)
    stepped = ddim.step(noise, s, X.float().view(3, 1, 8, 8)).prev_sample.reshape(3, -1).double()
    # The bridge's times of both levels, t = √ᾱ/(√ᾱ + √(1−ᾱ)), and the states of equal z there.
    t, t_next = float(a / (a + na)), float(b / (b + nb))
    x, x_next = X / (a + na), stepped / (b + nb)
    v = ours.evaluate(x, t).velocity
    assert torch.allclose((x_next - x) / (t_next - t), v, atol=2e-3)


@torch.no_grad()
def test_a_flow_pipeline_runs_backwards(tmp_path: Path) -> None:
    """diffusers' flows: time 1000 is noise, and the model predicts noise − data."""
    model = unet(tmp_path / "unet")
    scheduler(tmp_path, "FlowMatchEulerDiscreteScheduler")
    expected = -model(X.float().view(3, 1, 8, 8), torch.full((3,), 700.0)).sample.reshape(3, -1)
    assert torch.allclose(field(tmp_path).evaluate(X, 0.3).velocity, expected, atol=1e-5)


@torch.no_grad()
def test_a_dit_by_class(tmp_path: Path) -> None:
    """Its learned variance is left aside; ∅ is its last label."""
    model = dit(tmp_path / "transformer")
    ours = field(tmp_path, (4, 8, 8), n_classes=10, null_label=10, predicts="velocity")
    x, label = ripple(2, 256).double(), torch.tensor([3, 7])
    for asked, its in ((label, label), (None, torch.tensor([10, 10]))):
        told = model(x.float().view(2, 4, 8, 8), timestep=torch.full((2,), 0.4), class_labels=its).sample
        assert told.shape[1] == 8
        assert torch.allclose(ours.evaluate(x, 0.4, asked).velocity, told[:, :4].reshape(2, -1), atol=1e-6)


def test_guidance_is_one_call_of_twice_the_batch(tmp_path: Path) -> None:
    from kpe_core.fields.guidance import Guided

    dit(tmp_path)
    ours = field(tmp_path, (4, 8, 8), n_classes=10, null_label=10)
    sizes: list[int] = []
    told = ours.network.ask
    counting: Callable[[Tensor, Tensor, Tensor | None], Tensor] = lambda z, s, y: sizes.append(len(z)) or told(z, s, y)  # noqa: E731
    object.__setattr__(ours.network, "ask", counting)
    x, label = ripple(2, 256).double(), torch.tensor([3, 7])
    v = Guided(ours, 4.0).evaluate(x, 0.4, label).velocity
    assert sizes == [4]
    free, asked = ours.evaluate(x, 0.4, None).velocity, ours.evaluate(x, 0.4, label).velocity
    assert torch.allclose(v, free + 4.0 * (asked - free), atol=1e-5)


def test_every_file_that_matters_is_hashed(tmp_path: Path) -> None:
    unet(tmp_path / "unet")
    vae(tmp_path / "vae")
    scheduler(tmp_path)
    spec = PretrainedField.model_validate({"kind": "pretrained", "layout": "diffusers", "path": str(tmp_path)})
    seen = {weights_hash(spec)}
    for name in (
        "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json",
    ):  # fmt: skip
        with open(tmp_path / name, "ab") as f:
            f.write(b" ")
        seen.add(weights_hash(spec))
    (tmp_path / "README.md").write_text("nothing")
    with open(tmp_path / "vae" / "config.json", "ab") as f:
        f.write(b" ")
    assert weights_hash(spec) in seen, "no trajectory depends on how its end is decoded"
    assert len(seen) == 4
    shutil.copytree(tmp_path, tmp_path.parent / "moved")
    assert weights_hash(spec.model_copy(update={"path": str(tmp_path.parent / "moved")})) in seen


# -- wrong ones --------------------------------------------------------------------------------------------------------


def spoil(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    path = folder / "diffusion_pytorch_model.safetensors"
    safetensors.torch.save_file(change(safetensors.torch.load_file(path)), path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: {k: v for k, v in w.items() if k != "conv_in.bias"}, "lack conv_in.bias"),
        (lambda w: w | {"surplus": torch.zeros(2)}, "have, unasked, surplus"),
        (lambda w: w | {"conv_in.bias": torch.zeros(9)}, "cannot be loaded: .*conv_in.bias"),
        (lambda w: w | {"conv_in.bias": torch.full((8,), torch.nan)}, "hold NaN or infinity in conv_in.bias"),
    ],
)
def test_wrong_weights(tmp_path: Path, change: Callable, message: str) -> None:
    unet(tmp_path)
    spoil(tmp_path, change)
    with pytest.raises(UserError, match=message):
        field(tmp_path)


def test_what_is_missing_is_named_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is missing; looked for .*/nowhere"):
        field(tmp_path / "nowhere")
    with pytest.raises(
        UserError, match=r"looked for .*/config.json or .*/unet/config.json or .*/transformer/config.json"
    ):
        field(tmp_path)
    unet(tmp_path)
    (tmp_path / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(UserError, match=r"the weights are missing; looked for .*diffusion_pytorch_model.safetensors"):
        field(tmp_path)


def test_truncated_weights_and_broken_json(tmp_path: Path) -> None:
    unet(tmp_path)
    path = tmp_path / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="cannot be loaded"):
        field(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config.json is no JSON object"):
        field(tmp_path)


def test_a_bin_file_that_wants_code_is_refused(tmp_path: Path) -> None:
    unet(tmp_path)
    weights = safetensors.torch.load_file(tmp_path / "diffusion_pytorch_model.safetensors")
    (tmp_path / "diffusion_pytorch_model.safetensors").unlink()
    torch.save(weights, tmp_path / "diffusion_pytorch_model.bin")
    assert torch.isfinite(field(tmp_path).evaluate(X, 0.5).velocity).all()
    torch.save(weights | {"config": Path("x")}, tmp_path / "diffusion_pytorch_model.bin")
    with pytest.raises(UserError, match="is a pickle that wants"):
        field(tmp_path)


def test_other_classes_and_schedules_are_named(tmp_path: Path) -> None:
    unet(tmp_path / "unet")
    config = json.loads((tmp_path / "unet" / "config.json").read_text())
    (tmp_path / "unet" / "config.json").write_text(
        json.dumps(config | {"_class_name": "UNet2DConditionModel", "layers_per_block": [1, 2]})
    )
    with pytest.raises(UserError, match=r"holds a UNet2DConditionModel; this layout is for UNet2DModel, .* function"):
        field(tmp_path)
    (tmp_path / "unet" / "config.json").write_text(json.dumps(config))
    scheduler(tmp_path, beta_schedule="sigmoid")
    with pytest.raises(
        UserError, match="betas are not linear, scaled_linear or squaredcos_cap_v2; say predicts and betas"
    ):
        field(tmp_path)


@torch.no_grad()
def test_a_scheduler_of_no_betas_is_overruled_by_the_study(tmp_path: Path) -> None:
    """What its message advises is enough; `kpe models` tells the rest all the same."""
    unet(tmp_path / "unet")
    scheduler(tmp_path, beta_schedule="sigmoid")
    found = look_at(tmp_path)
    assert (found.layout, found.choices) == ("diffusers", {})
    assert "say predicts and betas" in found.says[-1]
    declared = field(tmp_path, predicts="noise", betas={"start": 0.001})
    scheduler(tmp_path, beta_start=0.001)
    assert torch.equal(declared.evaluate(X, 0.3).velocity, field(tmp_path).evaluate(X, 0.3).velocity)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("scheduler/scheduler_config.json", {"num_train_timesteps": "many"}, "num_train_timesteps: input should be a"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 10**12}, "num_train_timesteps: input should be le"),
        ("scheduler/scheduler_config.json", {"beta_start": [1]}, "beta_start: input should be a valid number"),
        ("scheduler/scheduler_config.json", {"beta_start": 0.5}, "betas do not rise; say predicts and betas"),
        ("scheduler/scheduler_config.json", {"prediction_type": "x"}, "prediction_type is none of epsilon, sample,"),
        ("unet/config.json", {"num_class_embeds": "x"}, "num_class_embeds: input should be a valid integer"),
        (
            "unet/config.json",
            {"layers_per_block": 2**63},
            "layers_per_block: input should be less than or equal to 1000",
        ),
        (
            "unet/config.json",
            {"downsample_padding": 1000},
            "downsample_padding: input should be less than or equal to 1",
        ),
        ("unet/config.json", {"down_block_types": 7}, "unet cannot be loaded"),
        ("unet/config.json", {"block_out_channels": [8000, 16000]}, r"asks for [\d,]+ numbers, and the weights are"),
    ],
)
def test_configurations_that_cannot_be(tmp_path: Path, file: str, change: dict[str, object], message: str) -> None:
    unet(tmp_path / "unet")
    scheduler(tmp_path)
    said = json.loads((tmp_path / file).read_text())
    (tmp_path / file).write_text(json.dumps(said | change))
    with pytest.raises(UserError, match=message):
        field(tmp_path)


def test_an_index_that_names_files_elsewhere(tmp_path: Path) -> None:
    """They would be loaded, and no part of what the run is known by."""
    shards(tmp_path)
    assert len(list(tmp_path.glob("*-of-*.safetensors"))) > 1
    assert torch.isfinite(field(tmp_path).evaluate(X, 0.5).velocity).all()
    index = tmp_path / "diffusion_pytorch_model.safetensors.index.json"
    said = json.loads(index.read_text())
    name = sorted(said["weight_map"])[0]
    index.write_text(json.dumps(said | {"weight_map": said["weight_map"] | {name: "../elsewhere.safetensors"}}))
    with pytest.raises(UserError, match=r"are not those of .*index.json: the folder lacks ../elsewhere.safetensors"):
        field(tmp_path)
    with pytest.raises(UserError, match="are not those of"):
        look_at(tmp_path)


def test_labels_it_does_not_have(tmp_path: Path) -> None:
    dit(tmp_path / "dit")
    with pytest.raises(
        UserError, match=r"is asked by class \(it knows 11 labels\): give fields.n_classes, and null_label"
    ):
        field(tmp_path / "dit", (4, 8, 8))
    with pytest.raises(UserError, match=r"knows labels 0 … 10; fields asks for up to 12"):
        field(tmp_path / "dit", (4, 8, 8), n_classes=10, null_label=12)
    unet(tmp_path / "unet")
    with pytest.raises(UserError, match=r"is not asked by class; remove fields.n_classes"):
        field(tmp_path / "unet", n_classes=3)
    with pytest.raises(UserError, match=r"takes images of 1 channels; the data.* 3"):
        field(tmp_path / "unet", (3, 8, 8))


def test_loading_again_is_the_same(tmp_path: Path) -> None:
    unet(tmp_path)
    spec = PretrainedField.model_validate({"kind": "pretrained", "layout": "diffusers", "path": str(tmp_path)})
    a, b = (PretrainedVelocity(spec, load(spec), (8, 8)).evaluate(X, 0.5).velocity for _ in "ab")
    assert torch.equal(a, b)
