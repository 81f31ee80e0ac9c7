"""The layouts there are: what each needs, which files determine its numbers, and how it is loaded."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from kpe_core.devices import CPU
from kpe_core.errors import UserError
from kpe_core.fields.pretrained import diffusers_folder, programs
from kpe_core.fields.pretrained.authors_unet import HEADS, AuthorsUNet
from kpe_core.fields.pretrained.conventions import Habits
from kpe_core.fields.pretrained.guided_unet import GuidedUNet
from kpe_core.fields.pretrained.network import Network
from kpe_core.study.specs.pretrained import Layout, PretrainedField
from kpe_core.weights.files import PUT_IT_THERE, found, sha256_of, sha256_of_all
from kpe_core.weights.tensors import fill, read_tensors

ORIGINS: dict[Layout, str] = {
    "authors_unet": "you: a network trained by the code of [BO] or [KE], which saves Model_<steps>",
    "torchcfm": "torchcfm's releases on GitHub (atong01/conditional-flow-matching, *_cifar10_weights_step_400000.pt)",
    "diffusers": "a repository of the Hugging Face hub that diffusers saved, such as facebook/DiT-XL-2-256, copied whole",
    "exported": "you: torch.export.save",
    "torchscript": "you: torch.jit.save",
    "function": "you",
}
"""Where models of each layout come from."""

N = TypeVar("N", bound=nn.Module)
Loader = Callable[[PretrainedField, torch.dtype, torch.device], Network]


def _authors_unet(spec: PretrainedField, dtype: torch.dtype, device: torch.device) -> Network:
    tensors = read_tensors(_file(spec), spec.entry)
    network = _built(spec, lambda: AuthorsUNet({k: v.shape for k, v in tensors.items()}, spec.heads or HEADS))
    habits = Habits(time_scale=network.times - 1.0, whole_times=True)
    ready = _ready(network, tensors, spec, dtype, device)
    return Network(
        lambda z, time, label: ready(z, time.long()),
        habits, _count(ready), network.channels, network.divisor, takes_labels=False,
    )  # fmt: skip


def _torchcfm(spec: PretrainedField, dtype: torch.dtype, device: torch.device) -> Network:
    tensors = read_tensors(_file(spec), spec.entry)
    shapes = {k: v.shape for k, v in tensors.items()}
    network = _built(spec, lambda: GuidedUNet(shapes, spec.heads, spec.head_channels))
    ready = _ready(network, tensors, spec, dtype, device)
    return Network(
        lambda z, time, label: ready(z, time, label),
        Habits(), _count(ready), network.channels, network.divisor, network.labels,
        takes_labels=network.labels is not None,
    )  # fmt: skip


def _file(spec: PretrainedField) -> Path:
    return found(
        spec.path, f"the model (layout {spec.layout})", f"It comes from {ORIGINS[spec.layout]}. {PUT_IT_THERE}"
    )


def _built(spec: PretrainedField, make: Callable[[], N]) -> N:
    """A network of the shapes of a file's tensors, without numbers yet.

    Raises
    ------
    UserError
        when no network has them.
    """
    try:
        with torch.device("meta"):
            return make()
    except UserError:
        raise
    except Exception as error:  # of shapes that no layer has
        raise UserError(
            f"{spec.path} is no model of layout {spec.layout}: its tensors' shapes make no network ({error})"
        ) from None


def _ready(
    network: nn.Module, tensors: dict[str, Tensor], spec: PretrainedField, dtype: torch.dtype, device: torch.device
) -> nn.Module:
    fill(network, tensors, _file(spec), f"a model of layout {spec.layout}")
    return network.to(device, dtype).eval().requires_grad_(False)


def _count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@dataclass(frozen=True)
class LayoutCard:
    """A layout, as `kpe models` shows it."""

    needs: str
    conventions: str
    runs_code: bool
    load: Loader


LAYOUTS: dict[str, LayoutCard] = {
    "authors_unet": LayoutCard(
        "a state_dict saved by the code of [BO]/[KE] (Model_<steps>, .pt, .safetensors)",
        "velocity, whole times 0…999 from noise to data; [BO]'s own models: predicts: noise, betas: {}",
        False,
        _authors_unet,
    ),
    "torchcfm": LayoutCard(
        "a checkpoint of torchcfm's CIFAR-10 example, or a state_dict of guided-diffusion's U-Net",
        "velocity, times 0…1 from noise to data; entry ema_model where there is one",
        False,
        _torchcfm,
    ),
    "diffusers": LayoutCard(
        "a folder: a pipeline (unet/ or transformer/, scheduler/, vae/) or one model (config.json, safetensors)",
        "what scheduler/scheduler_config.json says; without one velocity, times 0…1 from noise to data",
        False,
        lambda spec, dtype, device: diffusers_folder.load(
            _file(spec), dtype, device, declared=spec.predicts is not None and spec.betas is not None
        ),
    ),
    "exported": LayoutCard(
        "a torch.export.save file (.pt2) of (x, t) or (x, t, label), its batch dynamic",
        "velocity, times 0…1 from noise to data",
        True,
        lambda spec, dtype, device: programs.load_exported(_file(spec), dtype, device),
    ),
    "torchscript": LayoutCard(
        "a torch.jit.save file of (x, t) or (x, t, label)",
        "velocity, times 0…1 from noise to data",
        True,
        lambda spec, dtype, device: programs.load_torchscript(_file(spec), dtype, device),
    ),
    "function": LayoutCard(
        "module:function or file.py:function of (x, t, label or None)",
        "velocity, times 0…1 from noise to data; x (B, C, H, W) for images, t (B,)",
        True,
        lambda spec, dtype, device: programs.load_function(spec.path),
    ),
}


def load(spec: PretrainedField, device: torch.device = CPU) -> Network:
    """The spec's model, on ``device``; a function of the user's computes on that of the states it is given.

    Raises
    ------
    UserError
        when its files are missing, broken, unsafe, or of another layout.
    """
    return LAYOUTS[spec.layout].load(spec, getattr(torch, spec.dtype), device)


def weights_hash(spec: PretrainedField) -> str:
    """SHA-256 of everything in files that determines the model's numbers; of a function, its module's source alone.

    Raises
    ------
    UserError
        when a file is missing; names it.
    """
    if spec.layout == "function":
        return sha256_of(programs.source_of(spec.path))
    path = _file(spec)
    if spec.layout != "diffusers":
        return sha256_of(path)
    return sha256_of_all(diffusers_folder.files_of(path), path)
