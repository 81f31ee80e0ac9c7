"""Classifier-free guidance: v_w = v_∅ + w (v_y − v_∅)."""

from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kpe_core.fields.base import Evaluation
from kpe_core.fields.efm import ExactField
from kpe_core.fields.guidance import Guided
from kpe_core.fields.network import NetworkVelocity, build
from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.path import follow
from kpe_core.sampling.sampler import Course
from kpe_core.study.specs import MLPField, NetworkField, UNetField

NOISE = torch.Generator().manual_seed(0)
POINTS = torch.randn(20, 3, dtype=torch.float64, generator=NOISE)
X = torch.randn(6, 3, dtype=torch.float64, generator=NOISE)
LABEL = torch.tensor([0, 1, 1, 0, 1, 0])
FIELD = ExactField(POINTS, torch.arange(20) % 2)


class Counting:
    """Pulls to 0 without a class and to the class's number with one; counts its evaluations."""

    singular_at_one, null_label, evaluations, asked = False, None, 1, 0

    def evaluate(self, x: Tensor, t: float, label: Tensor | None) -> Evaluation:
        self.asked += 1
        target = torch.zeros(len(x)) if label is None else label
        return Evaluation(target[:, None] - x)


@given(w=st.floats(-2, 8), t=st.floats(0, 0.95))
@settings(deadline=None, max_examples=30)
def test_is_the_published_combination(w: float, t: float) -> None:
    free, asked = FIELD.evaluate(X, t).velocity, FIELD.evaluate(X, t, LABEL).velocity
    assert torch.allclose(Guided(FIELD, w).evaluate(X, t, LABEL).velocity, free + w * (asked - free), rtol=1e-12)


@pytest.mark.parametrize(("w", "label"), [(1.0, LABEL), (0.0, None)])
def test_one_is_the_class_and_nought_is_none(w: float, label: Tensor | None) -> None:
    expected = FIELD.evaluate(X, 0.6, label).velocity
    assert torch.allclose(Guided(FIELD, w).evaluate(X, 0.6, LABEL).velocity, expected, rtol=1e-12, atol=1e-14)


def test_tells_what_the_field_tells_of_the_class() -> None:
    told, expected = Guided(FIELD, 3.0).evaluate(X, 0.6, LABEL), FIELD.evaluate(X, 0.6, LABEL)
    for a, b in zip(told[1:], expected[1:], strict=True):
        assert a is not None
        assert b is not None
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "spec",
    [
        MLPField(kind="mlp", width=16, depth=2, label_dropout=0.1),
        UNetField(kind="unet", channels=8, label_dropout=0.1),
    ],
    ids=lambda spec: spec.kind,
)
@pytest.mark.parametrize("w", [0.0, 1.5, 4.0])
def test_both_branches_of_a_network_in_one_call(spec: NetworkField, w: float) -> None:
    """The numbers of two calls, to rounding."""
    torch.manual_seed(0)
    network = build(spec, (5, 5), 3)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.1 * torch.randn_like(p))
    field, x, label = NetworkVelocity(network), torch.randn(7, 25), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    free, asked = field.evaluate(x, 0.4, None).velocity, field.evaluate(x, 0.4, label).velocity
    expected, calls = free + w * (asked - free), []
    evaluate = field.evaluate
    with mock.patch.object(field, "evaluate", lambda *args: calls.append(len(args[0])) or evaluate(*args)):
        told = Guided(field, w).evaluate(x, 0.4, label)
    assert calls == [14]
    assert told.velocity.numpy() == pytest.approx(expected.numpy(), abs=2e-5 * expected.abs().max().item())
    assert told.posterior_max is None
    assert Guided(field, w).evaluations == 2


def test_what_one_call_tells_is_of_the_classes() -> None:
    class Told(Counting):
        null_label = 9

        def evaluate(self, x: Tensor, t: float, label: Tensor | None) -> Evaluation:
            assert label is not None
            return Evaluation(x, posterior_max=label.double())

    told = Guided(Told(), 2.0).evaluate(X, 0.5, LABEL).posterior_max
    assert told is not None
    assert torch.equal(told, LABEL.double())


@pytest.mark.parametrize("solver", ["euler", "midpoint", "heun", "heun_ke", "rk4", "dopri5"])
def test_every_call_counts_twice(solver: str) -> None:
    """And every path says so: the same path without guidance costs half."""
    field, course = Counting(), Course(time_grid("uniform", 5), solver=solver)
    path = follow(Guided(field, 1.0), X, LABEL, course, 0.6)
    assert Guided(field, 1.0).evaluations == 2
    assert path.evaluations == field.asked
    assert path.evaluations == 2 * follow(Counting(), X, LABEL, course, 0.6).evaluations


def test_is_as_singular_as_its_field() -> None:
    assert Guided(FIELD, 2.0).singular_at_one
    assert not Guided(Counting(), 2.0).singular_at_one


def test_needs_classes() -> None:
    with pytest.raises(ValueError, match="guidance needs classes"):
        Guided(FIELD, 2.0).evaluate(X, 0.5, None)
