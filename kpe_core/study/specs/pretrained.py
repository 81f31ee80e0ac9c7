"""Velocity fields from models trained elsewhere."""

import os
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from kpe_core.study.specs.base import Count, Spec
from kpe_core.study.specs.bridge import BridgeSpec, LinearBridge

Layout = Literal["authors_unet", "torchcfm", "diffusers", "exported", "torchscript", "function"]
Prediction = Literal["velocity", "noise", "data", "score", "vp_velocity"]
Positive = Annotated[float, Field(strict=True, gt=0)]
Beta = Annotated[float, Field(strict=True, gt=0, lt=1)]


class BetasSpec(Spec):
    """The noise levels of a variance-preserving diffusion model: z_s = √ᾱ_s x1 + √(1 − ᾱ_s) x0, ᾱ_s = Π (1 − β)."""

    kind: Literal["linear", "scaled_linear", "cosine"] = "linear"
    """β linear; √β linear; or ᾱ the squared cosine of Nichol and Dhariwal."""
    start: Beta = 1e-4
    end: Beta = 0.02
    steps: Annotated[int, Field(strict=True, ge=2, le=100_000)] = 1000

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"betas: start = {self.start} must be below end = {self.end}")
        return self


class PretrainedField(Spec):
    """A model from a file or a function, under the conventions it was trained with.

    What is None is what the layout's own code does, or what a diffusers folder says of itself (`kpe models` lists both).
    """

    kind: Literal["pretrained"]
    layout: Layout
    path: str
    """File or folder, a relative one from the current folder; ``function``: module:function or file.py:function.
    No part of a run's identity: the content's SHA-256 is."""
    entry: str | None = None
    """Which of a checkpoint's state_dicts, e.g. ``net_model`` instead of ``ema_model``."""
    predicts: Prediction | None = None
    """What the model returns: v; x̂0 (noise); x̂1 (data); ∇log p; or √ᾱ x0 − √(1−ᾱ) x1, the "v" of diffusion models."""
    direction: Literal["noise_to_data", "data_to_noise"] | None = None
    """Which end its time 0 is at. ``data_to_noise``: its velocity, too, is that of reversed time."""
    time_scale: Positive | None = None
    """What its time runs to, from 0; its velocity is per unit of time all the same."""
    whole_times: Annotated[bool, Field(strict=True)] | None = None
    """Whether its time is a whole number: the scaled time is then rounded down."""
    betas: BetasSpec | None = None
    """Of a diffusion model, which is asked for the noise level the bridge has at t. None: trained on the bridge itself."""
    input_scale: Positive = 1.0
    """Factor of x before the model sees it; what it returns is of x itself."""
    dtype: Literal["float32", "float64", "float16", "bfloat16"] = "float32"
    shape: Annotated[tuple[Count, ...], Field(min_length=1)] | None = None
    """Of one point as it takes it. None: images as (channels, rows, columns), grey ones with one channel."""
    n_classes: Count | None = None
    """Classes it can be asked for; None: it is not asked by class."""
    null_label: Annotated[int, Field(strict=True, ge=0)] | None = None
    """Its own number for no class at all; for guidance."""
    label_shift: Annotated[int, Field(strict=True, ge=0)] = 0
    """Its own number of the data's class 0."""
    heads: Count | None = None
    """Attention heads, which a state_dict does not tell (``authors_unet``: 4)."""
    head_channels: Count | None = None
    """Channels of a head instead (``torchcfm``: 64)."""
    bridge: BridgeSpec = LinearBridge()

    @property
    def conditional(self) -> bool:
        return self.n_classes is not None

    @model_validator(mode="before")
    @classmethod
    def _absolute(cls, value: Any) -> Any:
        """Workers may run in another folder."""
        if not isinstance(value, dict):
            return value
        value = dict(value)
        if isinstance(given := value.get("path"), str) and given:
            value["path"] = _absolute(given, value.get("layout") == "function")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.path:
            raise ValueError("path is empty")
        if self.layout == "function" and not all(self.path.partition(":")):
            raise ValueError(f"path = {self.path!r}: layout function is given as module:function or file.py:function")
        if self.null_label is not None:
            if self.n_classes is None:
                raise ValueError("null_label is for models that are asked by class; give n_classes too")
            if self.label_shift <= self.null_label < self.label_shift + self.n_classes:
                raise ValueError(
                    f"null_label = {self.null_label} is the number of a class: they are {self.label_shift} … "
                    f"{self.label_shift + self.n_classes - 1}"
                )
        if self.betas is not None:
            if self.predicts == "velocity":
                raise ValueError("betas are for diffusion models, which predict noise, data, score or vp_velocity")
            if self.time_scale is not None or self.direction is not None:
                raise ValueError("with betas the model's time is the index of β: no time_scale, no direction")
        if self.predicts == "vp_velocity" and self.betas is None and self.layout != "diffusers":
            raise ValueError("predicts: vp_velocity needs the betas it was trained with")
        return self

    def identity(self) -> dict[str, Any]:
        """What of it belongs to a run's identity: not where the files lie, which their SHA-256 speaks for."""
        said = self.model_dump(mode="json", exclude={"path"})
        return said | {"function": self.path.rpartition(":")[2]} if self.layout == "function" else said


def _absolute(path: str, is_function: bool) -> str:
    if not is_function:
        return os.path.abspath(os.path.expanduser(path))
    module, colon, name = path.rpartition(":")
    return f"{os.path.abspath(os.path.expanduser(module))}:{name}" if colon and module.endswith(".py") else path
