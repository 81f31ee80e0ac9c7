"""The small classifier: good enough to judge digits, and reproducible."""

import math

import numpy as np
import pytest
import torch

from kpe_core.data.datasets import Prepared
from kpe_core.features.classifier import SmallClassifier, train_classifier
from kpe_core.features.semantics import semantics
from kpe_core.study.specs import ClassifierSpace


def test_reads_held_out_digits(digits: Prepared) -> None:
    network = train_classifier(ClassifierSpace(extractor="classifier"), digits.train, digits.train_labels, (8, 8), 10)
    with torch.inference_mode():
        features = network.features(torch.from_numpy(digits.held_out))
        here = semantics(network.logits(features), digits.held_out_labels)
        noise = torch.from_numpy(np.random.default_rng(0).normal(size=digits.held_out.shape).astype(np.float32))
        blind = semantics(network(noise), None)
    right = here.predicted == digits.held_out_labels
    assert right.mean() > 0.95
    assert features.shape == (len(digits.held_out), 32)
    assert np.all((here.margin > 0) == right), "a margin is positive exactly where the class asked for wins"
    assert np.median(blind.margin) < np.median(here.margin)


def test_depends_on_spec_and_data_alone(digits: Prepared) -> None:
    spec = ClassifierSpace(extractor="classifier", epochs=1, features=8)
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


def test_features_are_taken_before_the_rectification(digits: Prepared) -> None:
    network = SmallClassifier((8, 8), n_classes=3, features=5)
    x = torch.from_numpy(digits.train[:4])
    features = network.features(x)
    assert bool((features < 0).any())
    assert torch.equal(network(x), network.read_out(features.clamp(min=0)))


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
    spec = ClassifierSpace(extractor="classifier", epochs=6, features=8)
    network = train_classifier(spec, flat[:150], y[:150], (3, 8, 8), 2)
    with torch.inference_mode():
        said = network(torch.from_numpy(flat[150:])).argmax(dim=1).numpy()
    assert (said == y[150:]).all()
