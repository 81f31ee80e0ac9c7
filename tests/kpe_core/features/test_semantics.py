"""Score, margin and predicted class by hand; prototypes against their definition."""

import numpy as np
import pytest
import torch

from kpe_core.features.semantics import prototypes, semantics

LOGITS = torch.tensor([[5.0, 2.0, 1.0], [5.0, 2.0, 1.0], [1.0, -4.0, 3.0]])


def test_score_is_the_logit_asked_for_and_margin_what_it_leads_by() -> None:
    here = semantics(LOGITS, np.array([0, 1, 1]))
    assert here.score.tolist() == [5, 2, -4]
    assert here.margin.tolist() == [5 - 2, 2 - 5, -4 - 3]
    assert here.predicted.tolist() == [0, 0, 2]
    assert here.score.dtype == here.margin.dtype == np.float64


def test_without_labels_the_predicted_class_is_meant() -> None:
    here = semantics(LOGITS, None)
    assert here.score.tolist() == [5, 5, 3]
    assert here.margin.tolist() == [3, 3, 2]


def test_prototypes_are_cosines_with_class_means() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0] * 10 + [2] * 30)
    real = (rng.normal(size=(40, 5)) + labels[:, None] + 7).astype(np.float32)
    x = rng.normal(size=(6, 5)).astype(np.float32) + 8
    found = prototypes(real, labels, 3)(torch.from_numpy(x)).numpy()
    middle = real.mean(axis=0, dtype=np.float64)
    for c in (0, 2):
        towards = real[labels == c].mean(axis=0, dtype=np.float64) - middle
        here = x - middle
        cosine = here @ towards / np.linalg.norm(here, axis=1) / np.linalg.norm(towards)
        assert found[:, c] == pytest.approx(100 * cosine, abs=1e-9)
    assert (found[:, 1] == -100).all(), "a class without real images is never predicted"
