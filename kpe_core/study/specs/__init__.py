"""Frozen specs: what a study file may say, each value with its allowed range. Unknown keys are errors.

    study: experiments of data × fields (on a bridge) × sampling (solvers, shaping) → measure

Everything here is plain data; nothing computes.
"""

from kpe_core.study.specs.base import Spec
from kpe_core.study.specs.bridge import BridgeSpec, CosineBridge, FormulaBridge, LinearBridge, PolynomialBridge
from kpe_core.study.specs.data import DataSpec, PrepareSpec
from kpe_core.study.specs.fields import ExactField, FieldSpec
from kpe_core.study.specs.measure import (
    ClassifierSpec,
    DensitySpec,
    KdeDensity,
    KnnDensity,
    MeasureSpec,
    TrueDensity,
)
from kpe_core.study.specs.networks import MLPField, NetworkField, TrainingSpec, UNetField
from kpe_core.study.specs.pretrained import BetasSpec, PretrainedField
from kpe_core.study.specs.quality import ExpectationSpec
from kpe_core.study.specs.sampling import Classes, SamplingSpec, SolverName, StatesSpec, evaluations_per_step
from kpe_core.study.specs.shaping import ShapingSpec
from kpe_core.study.specs.study import Experiment, Study

__all__ = [
    "BetasSpec",
    "BridgeSpec",
    "Classes",
    "ClassifierSpec",
    "CosineBridge",
    "DataSpec",
    "DensitySpec",
    "ExactField",
    "ExpectationSpec",
    "Experiment",
    "FieldSpec",
    "FormulaBridge",
    "KdeDensity",
    "KnnDensity",
    "LinearBridge",
    "MLPField",
    "MeasureSpec",
    "NetworkField",
    "PolynomialBridge",
    "PrepareSpec",
    "PretrainedField",
    "SamplingSpec",
    "ShapingSpec",
    "SolverName",
    "Spec",
    "StatesSpec",
    "Study",
    "TrainingSpec",
    "TrueDensity",
    "UNetField",
    "evaluations_per_step",
]
