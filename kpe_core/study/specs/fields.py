"""Velocity fields."""

from typing import Annotated, Literal

from pydantic import Field

from kpe_core.study.specs.base import Spec
from kpe_core.study.specs.bridge import BridgeSpec, LinearBridge
from kpe_core.study.specs.networks import MLPField, UNetField
from kpe_core.study.specs.pretrained import PretrainedField


class ExactField(Spec):
    """The exact minimiser of empirical flow matching on the training points (METHOD §3)."""

    kind: Literal["exact"]
    dtype: Literal["float32", "float64"] = "float64"
    """Of its matrix products. float32 is right to 1e-5 of ‖v‖ and takes half the time, float64 to 1e-9 and better."""
    conditional: bool = Field(default=False, strict=True)
    """Whether samples are asked for by class: sample i then follows the training points of class i mod C alone."""
    bridge: BridgeSpec = LinearBridge()


FieldSpec = Annotated[ExactField | MLPField | UNetField | PretrainedField, Field(discriminator="kind")]
