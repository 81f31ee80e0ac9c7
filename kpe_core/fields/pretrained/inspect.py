"""What a file or folder looks like: its layout, what is in it, and what to write into a study."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kpe_core.errors import UserError
from kpe_core.fields.pretrained import authors_unet, diffusers_folder, guided_unet
from kpe_core.fields.pretrained.diffusers_config import Described, Named, Scheduler
from kpe_core.weights.files import found, read_config, sha256_of
from kpe_core.weights.tensors import Tensors, archive_kind, read_tensors

SAMPLE = 4
"""Keys shown."""


@dataclass(frozen=True)
class Findings:
    """What can be said of a path without asking the model anything."""

    layout: str | None
    """None: none of those there are."""
    says: list[str]
    choices: dict[str, Any] = field(default_factory=dict)
    """What a study's field should say beside layout and path."""
    keys: list[str] = field(default_factory=list)
    suffix: str = ""
    """What the path needs after it."""

    def yaml(self, path: Path) -> str:
        """The field to paste into a study."""
        lines = ["fields:", "  kind: pretrained", f"  layout: {self.layout}", f"  path: {path}{self.suffix}"]
        return "\n".join(lines + [f"  {name}: {value}" for name, value in self.choices.items()])


def look_at(path: Path) -> Findings:
    """A file or folder.

    Raises
    ------
    UserError
        when it is missing, unreadable or a pickle that wants code.
    """
    path = found(path, "the model")
    if path.is_dir():
        return _folder(path)
    if path.suffix == ".py":
        return _source(path)
    if (program := archive_kind(path)) is not None:
        return Findings(
            program, ["a program: loading it runs what it holds", _size(path)], {"predicts": "velocity"},
        )  # fmt: skip
    return _state_dict(path)


def _state_dict(path: Path) -> Findings:
    tensors = read_tensors(path)
    total = sum(t.numel() for t in tensors.values())
    kinds = sorted({str(t.dtype).removeprefix("torch.") for t in tensors.values()})
    says = [f"{len(tensors)} tensors, {total:,} numbers, {', '.join(kinds)}", _size(path), f"SHA-256 {sha256_of(path)}"]
    keys = [f"{k} {tuple(v.shape)}" for k, v in list(tensors.items())[:SAMPLE]]
    if authors_unet.MARK in tensors and len(first := _shape(tensors, "init_conv.weight")) == 4:
        says.append(f"the authors' U-Net: {first[1]} channels in, {first[0]} base channels")
        says.append("a model of [BO], which predicts noise, also needs:  predicts: noise / betas: {}")
        return Findings("authors_unet", says, {"predicts": "velocity"}, keys)
    if "time_embed.0.weight" in tensors and len(first := _shape(tensors, guided_unet.MARK)) == 4:
        says.append(f"guided-diffusion's U-Net, as torchcfm saves it: {first[1]} channels in, {first[0]} base channels")
        choices: dict[str, Any] = {"predicts": "velocity", "head_channels": guided_unet.HEAD_CHANNELS}
        if labels := _shape(tensors, "label_emb.weight"):
            choices["n_classes"] = labels[0]
            says.append(
                f"{labels[0]} labels; where the last stands for none, n_classes is one less and null_label the last"
            )
        return Findings("torchcfm", says, choices, keys)
    says.append("no layout known here; export it (layout: exported) or wrap it (layout: function)")
    return Findings(None, says, keys=keys)


def _shape(tensors: Tensors, key: str) -> tuple[int, ...]:
    """Of the tensor of that name; () where there is none."""
    return tuple(tensors[key].shape) if key in tensors else ()


def _folder(path: Path) -> Findings:
    model = diffusers_folder.model_folder(path)
    name = read_config(model / "config.json", Named).class_name
    weights = diffusers_folder.weights_of(model)
    says = [f"a diffusers {name} in {model}", f"{len(weights)} files of weights, {sum(map(_bytes, weights)):,} bytes"]
    if name not in diffusers_folder.MODELS:
        says.append(f"not one of {', '.join(diffusers_folder.MODELS)}: wrap it (layout: function)")
        return Findings(None, says)
    if vae := diffusers_folder.vae_folder(path):
        says.append(f"a VAE to decode latents with: give the data  vae: {vae}")
    choices: dict[str, Any] = {}
    try:
        choices["predicts"] = diffusers_folder.habits(path).predicts
        if files := diffusers_folder.scheduler_files(path):
            scheduler = read_config(files[0], Scheduler).class_name
            says.append(f"its scheduler, {scheduler}, stands for predicts: {choices['predicts']}")
    except UserError as error:
        says.append(str(error))
    config = read_config(model / "config.json", Described)
    if name != "UNet2DModel":
        known = config.num_embeds_ada_norm or 1000
        choices |= {"n_classes": known, "null_label": known}
    elif config.num_class_embeds:
        choices["n_classes"] = config.num_class_embeds
    return Findings("diffusers", says, choices)


def _source(path: Path) -> Findings:
    try:
        names = re.findall(r"^def (\w+)\(", path.read_text(encoding="utf-8"), flags=re.M)
    except ValueError as error:
        raise UserError(f"{path} is no Python source: {error}") from None
    if not names:
        raise UserError(f"{path} defines no function at its top level")
    return Findings("function", [f"functions: {', '.join(names)} (not run)"], suffix=f":{names[0]}")


def _size(path: Path) -> str:
    return f"{_bytes(path):,} bytes"


def _bytes(path: Path) -> int:
    return path.stat().st_size
