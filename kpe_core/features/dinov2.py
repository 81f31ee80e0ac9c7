"""DINOv2 through transformers, from a local folder: the pooled class token."""

import json
from pathlib import Path

import torch
from torch import Tensor

from kpe_core.errors import UserError
from kpe_core.features.extractor import Extractor
from kpe_core.features.images import Images, normalised, resized
from kpe_core.features.optional import need
from kpe_core.features.weights_file import found, tensors_of
from kpe_core.study.specs import DinoSpace

SOURCE = (
    "It is a folder with config.json and model.safetensors, as the repositories facebook/dinov2-small, -base and -large on "
    "the Hugging Face hub hold them"
)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Where the folder has no preprocessor_config.json."""


def dinov2(spec: DinoSpace, images: Images) -> Extractor:
    """The pooled output of the folder's model, of whole images resized to ``spec.side`` (published ones crop the middle).

    Raises
    ------
    UserError
        when the package, the folder or a file in it is missing, or the weights are not the configuration's.
    """
    transformers = need("transformers", "transformers")
    folder = found(spec.folder, f"space {spec.name}, folder of DINOv2", SOURCE)
    config = found(str(folder / "config.json"), f"space {spec.name}, configuration of DINOv2", SOURCE)
    weights = found(str(folder / "model.safetensors"), f"space {spec.name}, weights of DINOv2", SOURCE)
    said = _json(config)
    if said.get("model_type") != "dinov2":
        raise UserError(f"{config} describes a {said.get('model_type', 'nameless')} model, not dinov2")
    tensors_of(weights)  # read again below; this one explains what is wrong with the file
    # Keys on disk are not the module's own in every version of transformers, so its own loader maps them.
    try:
        network, loaded = transformers.Dinov2Model.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (RuntimeError, OSError, ValueError) as error:
        raise UserError(f"{weights} cannot be loaded: {' '.join(str(error).split())[:200]}") from None
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if keys := sorted(map(str, loaded[problem])):
            which = f"{problem.replace('_', ' ')}: {', '.join(keys[:3])}"
            raise UserError(f"{weights} is not the model that config.json describes: {which}")
    network.eval()
    preprocessor = folder / "preprocessor_config.json"
    told = _json(preprocessor) if preprocessor.exists() else {}
    mean, std = told.get("image_mean", MEAN), told.get("image_std", STD)

    def features(x: Tensor) -> Tensor:
        seen = normalised(resized(images(x), spec.side), mean, std)
        return torch.as_tensor(network(pixel_values=seen).pooler_output)

    return Extractor(network.config.hidden_size, features)


def _json(path: Path) -> dict:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(said, dict):
        raise UserError(f"{path} holds no JSON object")
    return said
