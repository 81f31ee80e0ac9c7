"""Folders as the diffusers library saves them: a pipeline, or one model. Never a request to a hub."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kpe_core.devices import CPU
from kpe_core.errors import UserError
from kpe_core.fields.pretrained.conventions import Habits
from kpe_core.fields.pretrained.diffusers_config import Built, Described, Index, Named, Scheduler
from kpe_core.fields.pretrained.network import Network
from kpe_core.packages import need
from kpe_core.study.specs.pretrained import BetasSpec, Prediction
from kpe_core.weights.files import PUT_IT_THERE, as_said, found, read_config, read_json
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


def scheduler_files(folder: Path) -> list[Path]:
    """Where the pipeline's scheduler describes itself, the one that counts first."""
    places = (folder / "scheduler" / "scheduler_config.json", folder / "scheduler_config.json")
    return [path for path in places if path.is_file()]


def files_of(folder: Path) -> list[Path]:
    """Everything that determines a field's numbers: configurations and weights."""
    model = model_folder(folder)
    return [model / "config.json", *weights_of(model), *scheduler_files(folder)]


def weights_of(folder: Path) -> list[Path]:
    """The weights' files: safetensors, whole or sharded; else .bin.

    Raises
    ------
    UserError
        when there are none, or their index names others.
    """
    for ending in ("safetensors", "bin"):
        whole = folder / f"diffusion_pytorch_model.{ending}"
        if whole.is_file():
            return [whole]
        if shards := sorted(folder.glob(f"diffusion_pytorch_model-?????-of-?????.{ending}")):
            index = found(folder / f"diffusion_pytorch_model.{ending}.index.json", "the shards' index")
            there, named = {path.name for path in shards}, set(read_config(index, Index).weight_map.values())
            if there != named:
                which = f"lacks {', '.join(sorted(named - there)[:3])}" if named - there else "holds more than it names"
                raise UserError(f"the weights are not those of {index}: the folder {which}. {PUT_IT_THERE}")
            return [*shards, index]
    raise UserError(
        f"the weights are missing; looked for {folder}/diffusion_pytorch_model.safetensors (or .bin, or shards)"
    )


def load(folder: Path, dtype: torch.dtype, device: torch.device = CPU, declared: bool = False) -> Network:
    """The folder's network, on ``device``; its scheduler is not asked where the study has ``declared`` what it stands for.

    Raises
    ------
    UserError
        when something is missing, broken, or of a class that is not asked as (image, time, classes).
    """
    model = model_folder(folder)
    name = read_config(model / "config.json", Named).class_name
    if name not in MODELS:
        raise UserError(
            f"{model} holds a {name}; this layout is for {', '.join(MODELS)}. Use layout: function for others"
        )
    network = open_model(model, name, dtype).to(device)
    kept = as_said(dict(network.config), Built, model / "config.json")
    channels, outgoing = kept.in_channels, kept.out_channels or kept.in_channels
    if outgoing not in (channels, 2 * channels):
        raise UserError(f"{model} turns {channels} channels into {outgoing}; a field needs as many as it gets")
    is_unet = name == "UNet2DModel"
    if not is_unet and kept.num_embeds_ada_norm is None:
        raise UserError(f"{model} is not asked by time and class: its configuration has no num_embeds_ada_norm")
    labels = kept.num_class_embeds if is_unet else (kept.num_embeds_ada_norm or 0) + 1
    divisor = 2 ** (len(kept.block_out_channels) - 1) if is_unet else kept.patch_size or 1

    def ask(z: Tensor, time: Tensor, label: Tensor | None) -> Tensor:
        # A model that learned its variance too gives it after the prediction.
        told: Tensor = network(z, time, class_labels=label, return_dict=False)[0]
        return told[:, :channels]

    return Network(
        ask,
        Habits() if declared else habits(folder),
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
    kind = getattr(diffusers, name)
    try:
        _require_room(kind, folder, weights)
        network, info = kind.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=safe, low_cpu_mem_usage=False, output_loading_info=True,
            torch_dtype=dtype,
        )  # fmt: skip
    except UserError:
        raise
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


def _require_room(kind: Any, folder: Path, weights: list[Path]) -> None:
    """Before any number is: a configuration may ask for more than the machine has, whatever its weights are."""
    read_config(folder / "config.json", Described)
    with torch.device("meta"):
        asked = sum(p.numel() for p in kind.from_config(read_json(folder / "config.json")).parameters())
    if asked > (held := sum(path.stat().st_size for path in weights)):
        raise UserError(
            f"{folder} cannot be loaded: config.json asks for {asked:,} numbers, and the weights are {held:,} bytes; they "
            "are cut short, or another model's"
        )


def habits(folder: Path) -> Habits:
    """The conventions a pipeline's scheduler stands for; without one, a velocity on the bridge itself.

    Raises
    ------
    UserError
        for a prediction nobody knows, and for noise levels that are not those of betas.
    """
    if not (files := scheduler_files(folder)):
        return Habits()
    scheduler = read_config(files[0], Scheduler)
    steps = scheduler.num_train_timesteps
    if "FlowMatch" in scheduler.class_name:
        # diffusers' flows run from data at 0 to noise at the last step, and predict noise − data.
        return Habits("velocity", "data_to_noise", float(steps))
    predicts, kind = PREDICTIONS.get(scheduler.prediction_type), BETA_KINDS.get(scheduler.beta_schedule)
    if predicts is None:
        raise UserError(
            f"{folder}: the scheduler's prediction_type is none of {', '.join(PREDICTIONS)}; say predicts and betas"
        )
    if kind is None or scheduler.trained_betas is not None or scheduler.rescale_betas_zero_snr:
        raise UserError(
            f"{folder}: the scheduler's betas are not linear, scaled_linear or squaredcos_cap_v2; say predicts and betas"
        )
    if scheduler.beta_start >= scheduler.beta_end:
        raise UserError(f"{folder}: the scheduler's betas do not rise; say predicts and betas")
    betas = {"kind": kind, "start": scheduler.beta_start, "end": scheduler.beta_end, "steps": steps}
    return Habits(predicts, betas=BetasSpec.model_validate(betas))
