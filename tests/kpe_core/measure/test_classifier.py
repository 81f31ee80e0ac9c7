"""The small classifier: good enough to judge digits, reproducible, and its score and margin defined by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from kpe_core.data.datasets import Prepared, load
from kpe_core.measure.classifier import SmallClassifier, semantics, train_classifier
from kpe_core.study.specs import ClassifierSpec, DataSpec


@pytest.fixture(scope="module")
def digits() -> Prepared:
    return load(DataSpec(name="digits"))


def test_reads_held_out_digits(digits: Prepared) -> None:
    network = train_classifier(ClassifierSpec(), digits.train, digits.train_labels, (8, 8), 10)
    here = semantics(network, digits.held_out, digits.held_out_labels)
    right = here.predicted == digits.held_out_labels
    assert right.mean() > 0.95
    assert here.features.shape == (len(digits.held_out), 32)
    assert np.all((here.margin > 0) == right), "a margin is positive exactly where the class asked for wins"
    noise = np.random.default_rng(0).normal(size=digits.held_out.shape).astype(np.float32)
    assert np.median(semantics(network, noise, None).margin) < np.median(here.margin)


def test_depends_on_spec_and_data_alone(digits: Prepared) -> None:
    spec = ClassifierSpec(epochs=1, features=8)
    x, y = digits.train[:256], digits.train_labels[:256]
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = train_classifier(spec, x, y, (8, 8), 10).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again = train_classifier(spec, x, y, (8, 8), 10).state_dict()
    other = train_classifier(spec.model_copy(update={"seed": 1}), x, y, (8, 8), 10).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


class Transparent(SmallClassifier):
    """Features are the image's first three pixels; logits are the rectified features."""

    def __init__(self) -> None:
        super().__init__(shape=(4, 4), n_classes=3, features=3)
        nn.init.eye_(self.read_out.weight)
        nn.init.zeros_(self.read_out.bias)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :3]


IMAGES = np.zeros((3, 16), dtype=np.float32)
IMAGES[:, :3] = [[5, 2, 1], [5, 2, 1], [1, -4, 3]]


def test_score_is_the_logit_asked_for_and_margin_what_it_leads_by() -> None:
    here = semantics(Transparent(), IMAGES, np.array([0, 1, 1]))
    assert here.score.tolist() == [5, 2, 0]
    assert here.margin.tolist() == [5 - 2, 2 - 5, 0 - 3]
    assert here.predicted.tolist() == [0, 0, 2]
    assert here.score.dtype == here.margin.dtype == np.float64


def test_without_labels_the_predicted_class_is_meant() -> None:
    here = semantics(Transparent(), IMAGES, None)
    assert here.score.tolist() == [5, 5, 3]
    assert here.margin.tolist() == [3, 3, 2]


def test_features_are_taken_before_the_rectification() -> None:
    assert semantics(Transparent(), IMAGES, None).features.tolist() == [[5, 2, 1], [5, 2, 1], [1, -4, 3]]


@pytest.mark.parametrize("shape", [(8, 8), (14, 14), (28, 28), (25, 25), (3, 32, 32), (4, 32, 32), (3, 12, 20)])
def test_fits_every_shape_in_use(shape: tuple[int, ...]) -> None:
    network = SmallClassifier(shape, n_classes=4, features=6)
    x = torch.zeros(2, math.prod(shape))
    assert network(x).shape == (2, 4)
    assert network.features(x).shape == (2, 6)


def test_every_channel_counts() -> None:
    """A square red or blue: the same in grey, told apart only by colour."""
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    x = rng.normal(0, 0.1, size=(200, 3, 8, 8)).astype(np.float32)
    x[np.arange(200), 2 * y, 2:6, 2:6] += 1.0
    flat = x.reshape(200, -1)
    network = train_classifier(ClassifierSpec(epochs=6, features=8), flat[:150], y[:150], (3, 8, 8), 2)
    assert (semantics(network, flat[150:], None).predicted == y[150:]).all()
