"""From a space's spec to its extractor, and to the hash of the weights that determine it."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from kpe_core.data.datasets import Prepared
from kpe_core.devices import CPU
from kpe_core.features.classifier import SmallClassifier
from kpe_core.features.clip import SOURCE as CLIP
from kpe_core.features.clip import clip
from kpe_core.features.decoder import vae_sha256
from kpe_core.features.dinov2 import SOURCE as DINO
from kpe_core.features.dinov2 import dinov2
from kpe_core.features.efficientnet import CLASSES, efficientnet, weights_path
from kpe_core.features.efficientnet import FEATURES as EFFICIENTNET_FEATURES
from kpe_core.features.efficientnet import SOURCE as EFFICIENTNET
from kpe_core.features.extractor import Extractor
from kpe_core.features.images import images_of
from kpe_core.features.inception import FEATURES as INCEPTION_FEATURES
from kpe_core.features.inception import SOURCE as INCEPTION
from kpe_core.features.inception import inception
from kpe_core.features.pca import pca
from kpe_core.study.specs import (
    ClassifierSpace,
    ClipSpace,
    DinoSpace,
    EfficientNetSpace,
    InceptionSpace,
    PcaSpace,
    PixelSpace,
    SpaceSpec,
)
from kpe_core.weights.files import found, sha256_of

PretrainedSpace = EfficientNetSpace | ClipSpace | InceptionSpace | DinoSpace
"""Whose weights lie in a file, and which look at pictures."""


def build(
    spec: SpaceSpec, prepared: Prepared, trained: dict[str, Tensor] | None = None, device: torch.device = CPU
) -> Extractor:
    """The extractor, on ``device``, of a space on ``prepared`` data; ``trained``: weights of one that is fitted on them.

    Raises
    ------
    UserError
        when the data are no pictures and it needs some, or its weights are missing or wrong.
    """
    match spec:
        case PixelSpace():
            return Extractor(prepared.dim, lambda x: x)
        case PcaSpace():
            assert trained is not None
            return pca(trained, device)
        case ClassifierSpace():
            assert trained is not None
            network = SmallClassifier(prepared.shape, prepared.n_classes, spec.features)
            network.load_state_dict(trained)
            network.to(device).eval()
            return Extractor(spec.features, network.features, network.logits, device)
        case EfficientNetSpace():
            return efficientnet(spec, images_of(prepared, device), device)
        case ClipSpace():
            return clip(spec, images_of(prepared, device), prepared.class_names, device)
        case InceptionSpace():
            return inception(spec, images_of(prepared, device), device)
        case DinoSpace():
            return dinov2(spec, images_of(prepared, device), device)


def weights_file(spec: PretrainedSpace) -> Path:
    """The file or folder a pretrained space takes its weights from.

    Raises
    ------
    UserError
        when it is not there.
    """
    match spec:
        case EfficientNetSpace():
            return found(weights_path(spec), f"space {spec.name}, weights of EfficientNet-Lite0", EFFICIENTNET)
        case ClipSpace():
            return found(spec.weights, f"space {spec.name}, weights of CLIP {spec.model}", CLIP)
        case InceptionSpace():
            return found(spec.weights, f"space {spec.name}, weights of InceptionV3", INCEPTION)
        case DinoSpace():
            return found(spec.folder, f"space {spec.name}, folder of DINOv2", DINO)


def weights_sha256(spec: PretrainedSpace, vae: str | None = None) -> str:
    """SHA-256 of these weights; where the pictures come out of the VAE in a folder, of both.

    Raises
    ------
    UserError
        when either is not there.
    """
    own = sha256_of(weights_file(spec))
    return own if vae is None else hashlib.sha256(f"{own} {vae_sha256(vae)}".encode()).hexdigest()


def reads_data_classes(spec: SpaceSpec, prepared: Prepared) -> bool:
    """Whether a space reads classes, and they are the data set's own. ImageNet's 1000, as folders or as latents, are those
    of a network trained on them."""
    if isinstance(spec, EfficientNetSpace) and spec.semantics == "imagenet":
        return prepared.name in ("imagenet", "latents") and prepared.n_classes == CLASSES
    return spec.has_semantics


def dimension(spec: SpaceSpec) -> int | None:
    """Number of features, where the spec alone tells it."""
    match spec:
        case PcaSpace():
            return spec.components
        case ClassifierSpace():
            return spec.features
        case EfficientNetSpace():
            return EFFICIENTNET_FEATURES
        case InceptionSpace():
            return INCEPTION_FEATURES
    return None
