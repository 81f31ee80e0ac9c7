"""Velocity fields trained here: what the networks are, and how they are trained."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from kpe_core.study.specs.base import Count, Fraction, Seed, Spec, one_or_many
from kpe_core.study.specs.bridge import BridgeSpec, LinearBridge

Rate = Annotated[float, Field(strict=True, gt=0, le=1)]
Positive = Annotated[float, Field(strict=True, gt=0)]
Channels = Annotated[int, Field(strict=True, ge=8, le=4096, multiple_of=8)]
Width = Annotated[int, Field(strict=True, ge=1, le=16_384)]
Layers = Annotated[int, Field(strict=True, ge=1, le=256)]


class TrainingSpec(Spec):
    """Conditional flow matching with AdamW on the training points."""

    steps: Count = 6000
    batch: Count = 128
    learning_rate: Rate = 1e-3
    """The highest of the schedule."""
    schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    """After the warm-up: a cosine down to zero at the last step, or constant. ``one_cycle`` is the cosine after a warm-up
    of a tenth of all steps."""
    warmup: Annotated[int, Field(strict=True, ge=0)] | None = None
    """Steps of a linear rise to the learning rate. None: a tenth of all steps for ``one_cycle``, none for the others."""
    weight_decay: Annotated[float, Field(strict=True, ge=0)] = 0.0
    clip: Positive | None = None
    """Largest norm of a step's gradient; longer ones are shortened to it."""
    ema: Fraction | None = None
    """Decay of a running average of the weights. Where it is given, the field uses the average."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the forward pass in training. ``bfloat16`` is mixed precision, for GPUs only."""
    checkpoints: tuple[Count, ...] = ()
    """Steps after which the field is sampled too, besides the last: a sweep over training time, from one training."""
    seed: Seed = 0
    bridge: BridgeSpec = LinearBridge()
    label_dropout: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.0
    """Share of labels replaced by the null label in training; above 0 the network can be asked unconditionally."""

    _lists = field_validator("checkpoints", mode="before")(one_or_many)

    @property
    def training_steps(self) -> tuple[int, ...]:
        """After which the field is sampled, in order; the last is ``steps``."""
        return (*(step for step in self.checkpoints if step < self.steps), self.steps)

    @property
    def warmup_steps(self) -> int:
        if self.warmup is not None:
            return self.warmup
        return max(1, self.steps // 10) if self.schedule == "one_cycle" else 0

    @model_validator(mode="after")
    def _within_the_training(self) -> Self:
        if list(self.checkpoints) != sorted(set(self.checkpoints)):
            raise ValueError(f"checkpoints: {list(self.checkpoints)} must increase")
        if self.checkpoints and self.checkpoints[-1] > self.steps:
            raise ValueError(f"checkpoints: {self.checkpoints[-1]} lies beyond the last of {self.steps} steps")
        if self.warmup is not None and self.warmup >= self.steps:
            raise ValueError(f"warmup = {self.warmup} leaves nothing of {self.steps} steps")
        return self


class MLPField(TrainingSpec):
    """A class-conditional residual MLP, for points of any shape."""

    kind: Literal["mlp"]
    width: Width = 512
    depth: Layers = 3


class UNetField(TrainingSpec):
    """A class-conditional U-Net, for images of any side. The defaults learn small grey images on one core in minutes."""

    kind: Literal["unet"]
    channels: Channels = 32
    multipliers: Annotated[tuple[Layers, ...], Field(min_length=1, max_length=6)] = (1, 2)
    """Channels of each level, times ``channels``; every level has half the side of the one before, rounded up."""
    blocks: Layers = 1
    """Residual blocks of a level, each way."""
    patch: Annotated[int, Field(strict=True, ge=1, le=16)] = 2
    """Side of the squares of pixels taken in and put out as one. With 2, a step costs a quarter of what it does with 1."""
    attention: bool = Field(default=False, strict=True)
    """Whether pixels attend to each other at the lowest level."""
    steps: Count = 3000
    batch: Count = 32
    learning_rate: Rate = 4e-3
    clip: Positive | None = 1.0
    ema: Fraction | None = 0.99

    _levels = field_validator("multipliers", mode="before")(one_or_many)


NetworkField = MLPField | UNetField
"""A field that is trained here; also for ``isinstance``."""
