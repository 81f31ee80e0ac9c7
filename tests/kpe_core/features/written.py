"""Weights of extractors in their true formats, tiny."""

import json
from pathlib import Path

import safetensors.torch
import torch

from kpe_core.packages import need
from kpe_core.study.specs import ClipSpace


def tiny_clip(folder: Path) -> ClipSpace:
    """A model in open_clip's own configuration format, with its state_dict beside."""
    open_clip = need("open_clip", "open_clip_torch")
    vision = {"image_size": 32, "layers": 1, "width": 16, "patch_size": 8, "head_width": 8}
    text = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    (folder / "kpe-tiny.json").write_text(json.dumps({"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}))
    open_clip.add_model_config(folder / "kpe-tiny.json")
    torch.manual_seed(0)
    model = open_clip.create_model("kpe-tiny", load_weights=False, pretrained_text=False)
    safetensors.torch.save_file(model.state_dict(), folder / "weights.safetensors")
    return ClipSpace(extractor="clip", model="kpe-tiny", weights=str(folder / "weights.safetensors"))


def tiny_dinov2(folder: Path) -> torch.nn.Module:
    """A folder as transformers saves it, with what says how pictures are prepared."""
    transformers = need("transformers", "transformers")
    config = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    torch.manual_seed(0)
    model: torch.nn.Module = transformers.Dinov2Model(config).eval()
    model.save_pretrained(folder)  # type: ignore[operator]
    return model
