"""The class-conditional network and what it is to the sampler."""

import math
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kpe_core.fields import mlp as module
from kpe_core.fields.embedding import TIME_FREQUENCIES, time_features
from kpe_core.fields.mlp import VelocityMLP
from kpe_core.fields.network import NetworkVelocity, VelocityNetwork, build
from kpe_core.study.specs import MLPField

TINY = MLPField(kind="mlp", width=16, depth=2)
X = torch.linspace(-1, 1, 20).reshape(5, 4)
LABEL = torch.tensor([0, 1, 2, 0, 1])


def tiny() -> VelocityNetwork:
    return build(TINY, shape=(4,), n_classes=3)


def test_time_features_are_sines_and_cosines_from_1_to_1000_rad() -> None:
    f = time_features(torch.tensor([0.0, 0.5], dtype=torch.float64))
    assert f.shape == (2, 2 * TIME_FREQUENCIES)
    assert f[0].tolist() == [0.0] * TIME_FREQUENCIES + [1.0] * TIME_FREQUENCIES
    first, last = f[1, [0, TIME_FREQUENCIES]], f[1, [TIME_FREQUENCIES - 1, -1]]
    assert first.tolist() == pytest.approx([math.sin(0.5), math.cos(0.5)])
    assert last.tolist() == pytest.approx([math.sin(500), math.cos(500)])


def forward(network: VelocityNetwork, x: torch.Tensor, t: float, label: torch.Tensor) -> torch.Tensor:
    """The network as training calls it: a time and a class to every row."""
    with torch.no_grad():
        return network(x, torch.full((len(x),), t), label)


def test_field_is_the_network_at_one_time() -> None:
    network = tiny()
    before = X.clone()
    here = NetworkVelocity(network).evaluate(X.double(), 0.3, LABEL)
    assert torch.allclose(here.velocity, forward(network, X, 0.3, LABEL), rtol=0, atol=2e-6)
    assert here.velocity.dtype == NetworkVelocity.dtype == torch.float32
    assert here.posterior_max is None
    assert not here.velocity.requires_grad
    assert torch.equal(X, before)
    assert NetworkVelocity.evaluations == 1


@given(
    n=st.integers(1, 30), dim=st.integers(1, 6), n_classes=st.integers(1, 20), depth=st.integers(0, 3),
    null=st.booleans(), t=st.floats(0, 1), rows=st.integers(1, 12), seed=st.integers(0, 1000),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_the_way_through_at_one_time_is_forward_but_for_rounding(
    n: int, dim: int, n_classes: int, depth: int, null: bool, t: float, rows: int, seed: int
) -> None:
    """Whatever the number of rows, classes and parts, and whichever classes occur; biases and scales are not trivial."""
    torch.manual_seed(seed)
    network = VelocityMLP(dim, n_classes, 16, depth, null_label=null).eval()
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.2 * torch.randn_like(p))
    x, label = torch.randn(n, dim), torch.randint(n_classes + null, (n,))
    with mock.patch.object(module, "CACHED", 16 * rows):
        fast = NetworkVelocity(network).evaluate(x, t, label).velocity
    slow = forward(network, x, t, label)
    assert fast.numpy() == pytest.approx(slow.numpy(), abs=2e-5 * max(1.0, slow.abs().max().item()))


def test_a_large_batch_at_real_width_agrees_row_by_row() -> None:
    torch.manual_seed(0)
    network = VelocityMLP(7, 10, 256, 2).eval()
    x, label = 3 * torch.randn(1300, 7), torch.randint(10, (1300,))
    slow = forward(network, x, 0.77, label)
    fast = NetworkVelocity(network).evaluate(x, 0.77, label).velocity
    assert torch.allclose(fast, slow, rtol=0, atol=3e-6)
    backwards = NetworkVelocity(network).evaluate(x.flip(0), 0.77, label.flip(0)).velocity.flip(0)
    assert torch.allclose(backwards, fast, rtol=0, atol=3e-6)


def test_depends_on_state_time_and_class() -> None:
    field = NetworkVelocity(tiny())
    here = field.evaluate(X, 0.3, LABEL).velocity
    assert not torch.allclose(here, field.evaluate(X + 0.1, 0.3, LABEL).velocity)
    assert not torch.allclose(here, field.evaluate(X, 0.4, LABEL).velocity)
    other = field.evaluate(X, 0.3, torch.tensor([0, 1, 2, 0, 2])).velocity
    assert torch.allclose(here[:4], other[:4], atol=1e-6), "a class changes its own row only"
    assert not torch.allclose(here[4], other[4], atol=1e-6)


def test_rows_do_not_mix() -> None:
    field = NetworkVelocity(tiny())
    together = field.evaluate(X, 0.3, LABEL).velocity
    alone = torch.cat([field.evaluate(X[[i]], 0.3, LABEL[[i]]).velocity for i in range(5)])
    assert torch.allclose(together, alone, atol=1e-6)


def test_exists_at_t_1_and_needs_labels() -> None:
    field = NetworkVelocity(tiny())
    assert not field.singular_at_one
    assert field.evaluate(X, 1.0, LABEL).velocity.isfinite().all()
    with pytest.raises(ValueError, match="needs labels"):
        field.evaluate(X, 0.5, None)


@pytest.mark.parametrize("rows", [2, 5])
@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_class_that_does_not_exist_is_refused(rows: int, wrong: int) -> None:
    with pytest.raises(IndexError):
        NetworkVelocity(tiny()).evaluate(X[:rows], 0.5, torch.full((rows,), wrong))


def test_no_label_is_the_null_label_where_it_was_trained() -> None:
    network = build(TINY.model_copy(update={"label_dropout": 0.1}), shape=(4,), n_classes=3)
    assert network.conditioning.embed_label.num_embeddings == 4
    field = NetworkVelocity(network)
    unconditional = field.evaluate(X, 0.3, None).velocity
    assert torch.allclose(unconditional, forward(network, X, 0.3, torch.full((5,), 3)), rtol=0, atol=2e-6)
    assert not torch.allclose(unconditional, field.evaluate(X, 0.3, LABEL).velocity, atol=1e-3)
