"""CLIP through open_clip, from a local weights file: image embeddings, 100·cos with each class's prompt ([KE] fig. 2)."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from kpe_core.devices import CPU
from kpe_core.errors import UserError
from kpe_core.features.extractor import Extractor
from kpe_core.features.images import Images, normalised, resized
from kpe_core.packages import need
from kpe_core.study.specs import ClipSpace
from kpe_core.weights.files import found
from kpe_core.weights.tensors import read_tensors

SOURCE = (
    "It is a file of the open_clip project, such as open_clip_model.safetensors of a "
    "laion/CLIP-… repository on the Hugging Face hub, or OpenAI's ViT-B-32.pt saved as a state_dict"
)


def clip(spec: ClipSpace, images: Images, classes: Sequence[str], device: torch.device = CPU) -> Extractor:
    """Normalised image embeddings; the reading is 100·cos with the prompts of ``classes``, in order.

    Images are resized to the model's own square (all data here are square or meant to be seen whole, so nothing is
    cropped) and normalised as the model's configuration says.

    Raises
    ------
    UserError
        when the package, the architecture or the file is missing, or the file does not fit the architecture.
    """
    open_clip = need("open_clip", "open_clip_torch")
    path = found(spec.weights, f"space {spec.name}, weights of CLIP {spec.model}", SOURCE)
    if spec.model not in (known := open_clip.list_models()):
        raise UserError(
            f"space {spec.name}: open_clip knows no model {spec.model!r}; it knows {', '.join(known[:5])}, …"
        )
    read_tensors(path)  # the same file again below; this one explains what is wrong with it
    logging.disable(logging.WARNING)  # open_clip warns that it loads no weights, which follow
    try:
        model = open_clip.create_model(spec.model, load_weights=False, pretrained_text=False).eval()
    finally:
        logging.disable(logging.NOTSET)
    try:
        open_clip.load_checkpoint(model, str(path), strict=True, weights_only=True)
    except (RuntimeError, KeyError) as error:
        said = " ".join(str(error).split())[:200]
        raise UserError(f"{path} does not fit open_clip's {spec.model}: {said}") from None
    tokens = open_clip.get_tokenizer(spec.model)([spec.prompt.replace("{class}", name) for name in classes])
    model = model.to(device)
    with torch.inference_mode():
        prompts = normalize(model.encode_text(tokens.to(device)).to(torch.float64), dim=1)
    side = model.visual.image_size[0] if isinstance(model.visual.image_size, tuple) else model.visual.image_size
    mean, std = model.visual.preprocess_cfg["mean"], model.visual.preprocess_cfg["std"]

    def features(x: Tensor) -> Tensor:
        return normalize(model.encode_image(normalised(resized(images(x), side), mean, std)), dim=1)

    def read_out(f: Tensor) -> Tensor:
        return 100.0 * normalize(f.to(torch.float64), dim=1) @ prompts.T

    return Extractor(prompts.shape[1], features, read_out, device)
