"""Velocity fields."""

from typing import Annotated, Literal

from pydantic import Field

from kpe_core.study.specs.base import Count, Seed, Spec
from kpe_core.study.specs.bridge import BridgeSpec, LinearBridge


class ExactField(Spec):
    """The exact minimiser of empirical flow matching on the training points (METHOD §3)."""

    kind: Literal["exact"]
    dtype: Literal["float32", "float64"] = "float64"
    """Of its matrix products. float32 is right to 1e-5 of ‖v‖ and takes half the time, float64 to 1e-9 and better."""
    conditional: bool = Field(default=False, strict=True)
    """Whether samples are asked for by class: sample i then follows the training points of class i mod C alone."""
    bridge: BridgeSpec = LinearBridge()


class NetworkField(Spec):
    """A class-conditional residual MLP trained by conditional flow matching on the training points."""

    kind: Literal["network"]
    width: Count = 512
    depth: Count = 3
    steps: Count = 6000
    batch: Count = 128
    learning_rate: Annotated[float, Field(strict=True, gt=0, le=1)] = 1e-3
    schedule: Literal["one_cycle", "constant"] = "one_cycle"
    weight_decay: Annotated[float, Field(strict=True, ge=0)] = 0.0
    seed: Seed = 0
    bridge: BridgeSpec = LinearBridge()
    label_dropout: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.0
    """Share of labels replaced by the null label in training; above 0 the network can be asked unconditionally."""


FieldSpec = Annotated[ExactField | NetworkField, Field(discriminator="kind")]
