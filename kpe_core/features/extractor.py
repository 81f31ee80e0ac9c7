"""What an extractor is: from endpoints to features, and from features to classes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kpe_core.devices import CPU
from kpe_core.precision import precision

Features = Callable[[Tensor], Tensor]
ReadOut = Callable[[Tensor], Tensor]

BATCH = 64
"""Images at a time, counted from where a batch of samples (or a part of the real images) begins: the last digits of a
convolution depend on the batch, and must not depend on shards and workers."""


@dataclass(frozen=True)
class Extractor:
    """One space's way from points to features, ready to run."""

    dim: int
    """Number of features."""
    features: Features
    """Points in prepared coordinates (B, D) float32 ↦ features (B, dim) float32."""
    read_out: ReadOut | None = None
    """Features (B, dim) ↦ one logit a class (B, C) float64; None where it knows no classes."""
    device: torch.device = CPU
    """Where it computes: it takes points and features there, and gives its answers there."""


def extract(extractor: Extractor, x: Tensor, batch: int = BATCH) -> Tensor:
    """Features (N, dim) float32 of points ``x`` (N, D), in batches aligned to its first row; both on the CPU."""
    with torch.inference_mode(), precision("float32", extractor.device):
        parts = [extractor.features(rows.to(extractor.device)).cpu() for rows in x.split(batch)]
    return torch.cat(parts)
