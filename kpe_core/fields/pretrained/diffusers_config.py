"""What diffusers' configurations say of a model, of its weights and of its noise levels, as far as it matters here."""

from typing import Annotated, Any

from pydantic import Field

from kpe_core.weights.files import Said

Number = Annotated[int, Field(ge=1, le=10**9)]
Layers = Annotated[int, Field(ge=1, le=1000)]
"""Building more takes for ever, and so does the memory for them."""


class Named(Said):
    """A model's ``config.json``, of whatever class."""

    class_name: str = Field("nameless model", alias="_class_name")


class Described(Named):
    """That of a class known here: what must be in bounds before it is built."""

    num_class_embeds: Number | None = None
    num_embeds_ada_norm: Number | None = None
    layers_per_block: Layers = 1
    num_layers: Layers = 1
    downsample_padding: Annotated[int, Field(ge=0, le=1)] = 1
    """More, and the way up does not end where the way down began, after work that grows with its fourth power."""


class Built(Described):
    """The configuration of a model that was built, what the file leaves out included."""

    in_channels: Number
    out_channels: Number | None = None
    block_out_channels: tuple[Number, ...] = ()
    patch_size: Number | None = None


class Decoder(Said):
    """That of an AutoencoderKL."""

    latent_channels: Number
    scaling_factor: Annotated[float, Field(gt=0)]
    shift_factor: float | None = None
    block_out_channels: Annotated[tuple[Number, ...], Field(min_length=1)]


class Index(Said):
    """Which of several files of weights holds which tensor."""

    weight_map: dict[str, str]


class Scheduler(Said):
    """``scheduler_config.json``."""

    class_name: str = Field("nameless scheduler", alias="_class_name")
    num_train_timesteps: Annotated[int, Field(ge=2, le=100_000)] = 1000
    beta_schedule: str = "linear"
    beta_start: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    beta_end: Annotated[float, Field(gt=0, lt=1)] = 0.02
    trained_betas: Any = None
    rescale_betas_zero_snr: bool | None = None
    prediction_type: str = "epsilon"
