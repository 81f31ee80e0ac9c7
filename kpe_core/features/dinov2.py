"""DINOv2 through transformers, from a local folder: the pooled class token."""

from typing import Annotated

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor

from kpe_core.devices import CPU
from kpe_core.errors import UserError
from kpe_core.features.extractor import Extractor
from kpe_core.features.images import Images, normalised, resized
from kpe_core.packages import need
from kpe_core.study.specs import DinoSpace
from kpe_core.weights.files import Said, found, read_config
from kpe_core.weights.tensors import read_tensors

SOURCE = (
    "It is a folder with config.json and model.safetensors, as the repositories facebook/dinov2-small, -base and -large on "
    "the Hugging Face hub hold them"
)


SMALLEST = 28
"""Pixels of the side of a picture that it is asked about once, to see whether it can be."""


class Model(Said):
    """``config.json``."""

    model_type: str = "nameless"
    num_hidden_layers: Annotated[int, Field(ge=1, le=1000)] = 12


class Preprocessor(Said):
    """``preprocessor_config.json``; where the folder has none, what DINOv2 was trained with."""

    image_mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    image_std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (0.229, 0.224, 0.225)


def dinov2(spec: DinoSpace, images: Images, device: torch.device = CPU) -> Extractor:
    """The pooled output of the folder's model, of whole images resized to ``spec.side`` (published ones crop the middle).

    Raises
    ------
    UserError
        when the package, the folder or a file in it is missing, or the weights are not the configuration's.
    """
    transformers = need("transformers", "transformers")
    folder = found(spec.folder, f"space {spec.name}, folder of DINOv2", SOURCE)
    config = found(folder / "config.json", f"space {spec.name}, configuration of DINOv2", SOURCE)
    weights = found(folder / "model.safetensors", f"space {spec.name}, weights of DINOv2", SOURCE)
    if (kind := read_config(config, Model).model_type) != "dinov2":
        raise UserError(f"{config} describes a {kind} model, not dinov2")
    read_tensors(weights)  # read again below; this one explains what is wrong with the file
    # Keys on disk are not the module's own in every version of transformers, so its own loader maps them.
    try:
        network, loaded = transformers.Dinov2Model.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        network.to(device).eval()
        with torch.inference_mode():
            network(pixel_values=torch.zeros(1, 3, SMALLEST, SMALLEST, device=device))
    except Exception as error:  # whatever a configuration makes of it
        raise UserError(f"{weights} cannot be loaded: {' '.join(str(error).split())[:200]}") from None
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if keys := sorted(map(str, loaded[problem])):
            which = f"{problem.replace('_', ' ')}: {', '.join(keys[:3])}"
            raise UserError(f"{weights} is not the model that config.json describes: {which}")
    preprocessor = folder / "preprocessor_config.json"
    told = read_config(preprocessor, Preprocessor) if preprocessor.exists() else Preprocessor()

    def features(x: Tensor) -> Tensor:
        seen = normalised(resized(images(x), spec.side), told.image_mean, told.image_std)
        return torch.as_tensor(network(pixel_values=seen).pooler_output)

    return Extractor(network.config.hidden_size, features, device=device)
