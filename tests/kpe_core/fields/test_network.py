"""The class-conditional network and what it is to the sampler."""

import math

import pytest
import torch

from kpe_core.fields.network import TIME_FREQUENCIES, NetworkVelocity, VelocityMLP, time_features
from kpe_core.fields.training import build
from kpe_core.study.specs import NetworkField

TINY = NetworkField(kind="network", width=16, depth=2)
X = torch.linspace(-1, 1, 20).reshape(5, 4)
LABEL = torch.tensor([0, 1, 2, 0, 1])


def tiny() -> VelocityMLP:
    return build(TINY, dim=4, n_classes=3)


def test_time_features_are_sines_and_cosines_from_1_to_1000_rad() -> None:
    f = time_features(torch.tensor([0.0, 0.5], dtype=torch.float64))
    assert f.shape == (2, 2 * TIME_FREQUENCIES)
    assert f[0].tolist() == [0.0] * TIME_FREQUENCIES + [1.0] * TIME_FREQUENCIES
    first, last = f[1, [0, TIME_FREQUENCIES]], f[1, [TIME_FREQUENCIES - 1, -1]]
    assert first.tolist() == pytest.approx([math.sin(0.5), math.cos(0.5)])
    assert last.tolist() == pytest.approx([math.sin(500), math.cos(500)])


def test_field_is_the_network_at_one_time() -> None:
    network = tiny()
    here = NetworkVelocity(network).evaluate(X.double(), 0.3, LABEL)
    assert torch.equal(here.velocity, network(X, torch.full((5,), 0.3), LABEL))
    assert here.velocity.dtype == torch.float32
    assert here.posterior_max is None
    assert not here.velocity.requires_grad


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
