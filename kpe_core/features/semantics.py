"""Score, margin and predicted class of samples, from whatever reads classes out of features."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kpe_core.features.extractor import ReadOut

ABSENT = -100.0
"""Similarity to a class without real images: that of the opposite direction."""


class Semantics(NamedTuple):
    """One row a sample."""

    score: NDArray[np.float64]
    """Logit of the class asked for; of the predicted class where none was. In CLIP's and prototypes' case 100·cos."""
    margin: NDArray[np.float64]
    """Score minus the best other class's logit."""
    predicted: NDArray[np.int64]


def semantics(logits: Tensor, label: NDArray[np.int64] | None) -> Semantics:
    """Score, margin and predicted class of ``logits`` (B, C), held against ``label`` (B,) int64, or None."""
    logits = logits.to(torch.float64)
    predicted = logits.argmax(dim=1)
    asked = (predicted if label is None else torch.from_numpy(label))[:, None]
    score = logits.gather(1, asked).squeeze(1)
    other = logits.scatter(1, asked, -torch.inf).amax(dim=1)
    return Semantics(score.numpy(), (score - other).numpy(), predicted.numpy())


def prototypes(features: NDArray[np.float32], labels: NDArray[np.int64], n_classes: int) -> ReadOut:
    """Reads 100·cos(f − m, c_k − m), c_k the mean of class k's real ``features`` (N, F) and m the mean of all.

    What CLIP's score is to a prompt, this is to the class's own images.
    """
    real = features.astype(np.float64)
    middle = real.mean(axis=0)
    centres = np.zeros((n_classes, real.shape[1]))
    present = np.unique(labels)
    for c in present:
        centres[c] = real[labels == c].mean(axis=0) - middle
    directions = torch.from_numpy(centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-300))
    absent = torch.ones(n_classes, dtype=torch.bool)
    absent[torch.from_numpy(present)] = False
    origin = torch.from_numpy(middle)

    def read_out(f: Tensor) -> Tensor:
        here = torch.nn.functional.normalize(f.to(torch.float64) - origin, dim=1)
        return (100.0 * here @ directions.T).masked_fill(absent, ABSENT)

    return read_out
