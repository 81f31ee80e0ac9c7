"""Folders as the diffusers library saves them: a pipeline, or one model. Never a request to a hub."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kpe_core.devices import CPU
from kpe_core.errors import UserError
from kpe_core.fields.pretrained.conventions import Habits
from kpe_core.fields.pretrained.network import Network
from kpe_core.packages import need
from kpe_core.study.specs.pretrained import BetasSpec, Prediction
from kpe_core.weights.files import PUT_IT_THERE, found, read_json
from kpe_core.weights.tensors import read_document

MODELS = ("UNet2DModel", "DiTTransformer2DModel", "Transformer2DModel")
"""Classes that are asked as (image, time, classes)."""
PARTS = ("unet", "transformer")
"""Where a pipeline keeps them."""
PREDICTIONS: dict[str, Prediction] = {"epsilon": "noise", "sample": "data", "v_prediction": "vp_velocity"}
BETA_KINDS = {"linear": "linear", "scaled_linear": "scaled_linear", "squaredcos_cap_v2": "cosine"}


def model_folder(folder: Path) -> Path:
    """Where the network itself lies: ``folder``, or a part of the pipeline in it.

    Raises
    ------
    UserError
        when there is none.
    """
    for path in (folder, *(folder / part for part in PARTS)):
        if (path / "config.json").is_file():
            return path
    looked = " or ".join(str(folder / where) for where in ("config.json", *(f"{part}/config.json" for part in PARTS)))
    raise UserError(f"a diffusers model is missing; looked for {looked}. {PUT_IT_THERE}")


def vae_folder(folder: Path) -> Path | None:
    """The pipeline's own decoder of latents; None where there is none."""
    return folder / "vae" if (folder / "vae" / "config.json").is_file() else None


def scheduler_config(folder: Path) -> dict[str, Any]:
    """What the pipeline's scheduler says of itself; empty without one."""
    for path in (folder / "scheduler" / "scheduler_config.json", folder / "scheduler_config.json"):
        if path.is_file():
            return read_json(path)
    return {}


def files_of(folder: Path) -> list[Path]:
    """Everything that determines a field's numbers: configurations and weights."""
    model = model_folder(folder)
    found = [model / "config.json", *weights_of(model)]
    for path in (folder / "scheduler" / "scheduler_config.json", folder / "scheduler_config.json"):
        if path.is_file():
            found.append(path)
    return found


def weights_of(folder: Path) -> list[Path]:
    """The weights' files: safetensors, whole or sharded; else .bin.

    Raises
    ------
    UserError
        when there are none.
    """
    for ending in ("safetensors", "bin"):
        whole = folder / f"diffusion_pytorch_model.{ending}"
        if whole.is_file():
            return [whole]
        if shards := sorted(folder.glob(f"diffusion_pytorch_model-?????-of-?????.{ending}")):
            index = found(folder / f"diffusion_pytorch_model.{ending}.index.json", "the shards' index")
            return [*shards, index]
    raise UserError(
        f"the weights are missing; looked for {folder}/diffusion_pytorch_model.safetensors (or .bin, or shards)"
    )


def load(folder: Path, dtype: torch.dtype, device: torch.device = CPU) -> Network:
    """The folder's network, on ``device``.

    Raises
    ------
    UserError
        when something is missing, broken, or of a class that is not asked as (image, time, classes).
    """
    model = model_folder(folder)
    config = read_json(model / "config.json")
    name = str(config.get("_class_name"))
    if name not in MODELS:
        raise UserError(
            f"{model} holds a {name}; this layout is for {', '.join(MODELS)}. Use layout: function for others"
        )
    network = open_model(model, name, dtype).to(device)
    kept = network.config
    channels, outgoing = int(kept["in_channels"]), int(kept["out_channels"] or kept["in_channels"])
    if outgoing not in (channels, 2 * channels):
        raise UserError(f"{model} turns {channels} channels into {outgoing}; a field needs as many as it gets")
    is_unet = name == "UNet2DModel"
    labels = kept["num_class_embeds"] if is_unet else kept["num_embeds_ada_norm"] + 1
    divisor = 2 ** (len(kept["block_out_channels"]) - 1) if is_unet else kept["patch_size"]

    def ask(z: Tensor, time: Tensor, label: Tensor | None) -> Tensor:
        # A model that learned its variance too gives it after the prediction.
        told: Tensor = network(z, time, class_labels=label, return_dict=False)[0]
        return told[:, :channels]

    return Network(
        ask,
        habits(scheduler_config(folder), folder),
        sum(p.numel() for p in network.parameters()),
        channels,
        divisor,
        labels,
        takes_labels=labels is not None,
    )


def open_model(folder: Path, name: str, dtype: torch.dtype) -> Any:
    """A diffusers model of class ``name`` from its own folder, in evaluation mode.

    Raises
    ------
    UserError
        without diffusers; when the weights are broken, want code, or are not the ones the configuration asks for.
    """
    diffusers = need("diffusers", "diffusers")
    weights = weights_of(folder)
    safe = weights[0].suffix == ".safetensors"
    if not safe:
        for path in weights:
            if path.suffix == ".bin":
                read_document(path)  # refuses what wants code, in our words
    try:
        network, info = getattr(diffusers, name).from_pretrained(
            str(folder), local_files_only=True, use_safetensors=safe, low_cpu_mem_usage=False, output_loading_info=True,
            torch_dtype=dtype,
        )  # fmt: skip
    except Exception as error:
        raise UserError(f"{folder} cannot be loaded: {' '.join(str(error).split())[:300]}") from None
    for what in ("missing_keys", "unexpected_keys"):
        if keys := sorted(info[what]):
            verb = "lack" if what == "missing_keys" else "have, unasked,"
            raise UserError(f"the weights in {folder} {verb} {', '.join(keys[:3])}{' …' if len(keys) > 3 else ''}")
    for key, value in network.named_parameters():
        if not bool(torch.isfinite(value).all()):
            raise UserError(f"the weights in {folder} hold NaN or infinity in {key}")
    return network.eval().requires_grad_(False)


def habits(scheduler: dict[str, Any], folder: Path) -> Habits:
    """The conventions a scheduler's configuration stands for; without one, a velocity on the bridge itself.

    Raises
    ------
    UserError
        for noise levels that are not those of betas.
    """
    if not scheduler:
        return Habits()
    steps = int(scheduler.get("num_train_timesteps", 1000))
    if "FlowMatch" in str(scheduler.get("_class_name")):
        # diffusers' flows run from data at 0 to noise at the last step, and predict noise − data.
        return Habits("velocity", "data_to_noise", float(steps))
    kind = str(scheduler.get("beta_schedule", "linear"))
    if kind not in BETA_KINDS or scheduler.get("trained_betas") is not None or scheduler.get("rescale_betas_zero_snr"):
        raise UserError(
            f"{folder}: the scheduler's betas are not linear, scaled_linear or squaredcos_cap_v2; say predicts and betas"
        )
    start, end = float(scheduler.get("beta_start", 1e-4)), float(scheduler.get("beta_end", 0.02))
    betas = BetasSpec.model_validate({"kind": BETA_KINDS[kind], "start": start, "end": end, "steps": steps})
    return Habits(PREDICTIONS[str(scheduler.get("prediction_type", "epsilon"))], betas=betas)
