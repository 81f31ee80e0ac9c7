"""Frozen specs: what a study file may say, each value with its allowed range. Unknown keys are errors.

    study: experiments of data × fields (on a bridge) × sampling (solvers, shaping) → measure

Everything here is plain data; nothing computes.
"""

from kpe_core.study.specs.base import Spec
from kpe_core.study.specs.bridge import BridgeSpec, CosineBridge, FormulaBridge, LinearBridge, PolynomialBridge
from kpe_core.study.specs.data import DataSpec, PrepareSpec
from kpe_core.study.specs.fields import ExactField, FieldSpec
from kpe_core.study.specs.measure import (
    DensitySpec,
    KdeDensity,
    KnnDensity,
    MeasureSpec,
    TrueDensity,
)
from kpe_core.study.specs.networks import MLPField, NetworkField, TrainingSpec, UNetField
from kpe_core.study.specs.pretrained import BetasSpec, PretrainedField
from kpe_core.study.specs.quality import ExpectationSpec
from kpe_core.study.specs.sampling import (
    Classes,
    Precision,
    SamplingSpec,
    SolverName,
    StatesSpec,
    evaluations_per_step,
)
from kpe_core.study.specs.shaping import ShapingSpec
from kpe_core.study.specs.spaces import (
    DATA,
    ClassifierSpace,
    ClipSpace,
    DinoSpace,
    EfficientNetSpace,
    InceptionSpace,
    PcaSpace,
    PixelSpace,
    Space,
    SpaceSpec,
    TrainedSpace,
)
from kpe_core.study.specs.study import Experiment, Study
from kpe_core.study.specs.tuning import TuneSpec

__all__ = [
    "DATA",
    "BetasSpec",
    "BridgeSpec",
    "Classes",
    "ClassifierSpace",
    "ClipSpace",
    "CosineBridge",
    "DataSpec",
    "DensitySpec",
    "DinoSpace",
    "EfficientNetSpace",
    "ExactField",
    "ExpectationSpec",
    "Experiment",
    "FieldSpec",
    "FormulaBridge",
    "InceptionSpace",
    "KdeDensity",
    "KnnDensity",
    "LinearBridge",
    "MLPField",
    "MeasureSpec",
    "NetworkField",
    "PcaSpace",
    "PixelSpace",
    "PolynomialBridge",
    "Precision",
    "PrepareSpec",
    "PretrainedField",
    "SamplingSpec",
    "ShapingSpec",
    "SolverName",
    "Space",
    "SpaceSpec",
    "Spec",
    "StatesSpec",
    "Study",
    "TrainedSpace",
    "TrainingSpec",
    "TrueDensity",
    "TuneSpec",
    "UNetField",
    "evaluations_per_step",
]
