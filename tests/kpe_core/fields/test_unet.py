"""The U-Net: any image goes in and comes out, rows do not mix, time and class are heard."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kpe_core.fields.network import NetworkVelocity, build
from kpe_core.fields.unet import Attention, VelocityUNet
from kpe_core.study.specs import UNetField


def stirred(seed: int, *args: Any, **kwargs: Any) -> VelocityUNet:
    """With all weights moved off their start, where the last convolutions are nought and nothing could be seen."""
    torch.manual_seed(seed)
    network = VelocityUNet(*args, **kwargs).eval()
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return network


@given(
    shape=st.one_of(
        st.tuples(st.integers(4, 11), st.integers(4, 11)),
        st.tuples(st.integers(1, 3), st.integers(4, 9), st.integers(4, 9)),
    ),
    multipliers=st.lists(st.integers(1, 2), min_size=1, max_size=3),
    blocks=st.integers(1, 2), patch=st.integers(1, 3), attention=st.booleans(), null=st.booleans(),
    n=st.integers(1, 5), n_classes=st.integers(1, 4), t=st.floats(0, 1), seed=st.integers(0, 100),
)  # fmt: skip
@settings(max_examples=25)
def test_any_image_and_both_ways_through_agree(
    shape: tuple[int, ...], multipliers: list[int], blocks: int, patch: int, attention: bool, null: bool,
    n: int, n_classes: int, t: float, seed: int,
) -> None:  # fmt: skip
    """Odd sides, colours, levels, patches: as many numbers come out as go in, and at_time is forward but for rounding."""
    network = stirred(seed, shape, n_classes, 8, multipliers, blocks, patch, attention, null)
    x, label = torch.randn(n, *shape).flatten(1), torch.randint(n_classes + null, (n,))
    with torch.no_grad():
        slow, fast = network(x, torch.full((n,), t), label), network.at_time(x, t, label)
    assert slow.shape == x.shape
    assert fast.numpy() == pytest.approx(slow.numpy(), abs=1e-4 * max(1.0, slow.abs().max().item()))


@pytest.mark.parametrize("shape", [(5, 7), (3, 6, 5)])
def test_rows_do_not_mix_and_every_pixel_time_and_class_matters(shape: tuple[int, ...]) -> None:
    v = NetworkVelocity(stirred(0, shape, 3, 8, (1, 2), attention=True))
    x, label = torch.randn(4, *shape).flatten(1), torch.tensor([0, 1, 2, 0])
    here = v.evaluate(x, 0.4, label).velocity
    alone = torch.cat([v.evaluate(x[[i]], 0.4, label[[i]]).velocity for i in range(4)])
    assert torch.allclose(here, alone, atol=1e-5)
    assert not torch.allclose(here, v.evaluate(x, 0.5, label).velocity, atol=1e-3)
    other = v.evaluate(x, 0.4, torch.tensor([0, 1, 2, 1])).velocity
    assert torch.allclose(here[:3], other[:3], atol=1e-5)
    assert not torch.allclose(here[3], other[3], atol=1e-3)
    corner = x.clone()
    corner[0, -1] += 1.0
    moved = (v.evaluate(corner, 0.4, label).velocity - here).abs()
    assert (moved[0] > 0).all(), "the last pixel reaches every other, through the lowest level"
    assert moved[1:].max() < 1e-5


def test_patches_cut_no_pixel_off_and_put_none_elsewhere() -> None:
    """Where the network only passes on what its first convolution keeps, a pixel stays in its patch's neighbourhood."""
    network = VelocityUNet((5, 5), 1, 8, (1,), patch=2)
    images = torch.randn(2, 1, 5, 5)
    patches = network._patches(images)
    assert patches.shape == (2, 4, 3, 3)
    assert torch.equal(patches[:, 0, :, :], images[:, 0, ::2, ::2])
    assert torch.equal(patches[:, 3, :2, :2], images[:, 0, 1::2, 1::2])
    assert (patches[:, 3, 2] == 0).all()


def test_attention_is_the_softmax_over_pixels() -> None:
    torch.manual_seed(0)
    attention = Attention(64)
    torch.nn.init.normal_(attention.write.weight)
    h = torch.randn(2, 64, 3, 4)
    query, key, value = attention.read(attention.norm(h)).reshape(2, 3, 2, 32, 12).unbind(dim=1)
    weights = torch.softmax(torch.einsum("nhcp,nhcq->nhpq", query, key) / 32**0.5, dim=-1)
    expected = h + attention.write(torch.einsum("nhpq,nhcq->nhcp", weights, value).reshape(2, 64, 3, 4))
    assert torch.allclose(attention(h), expected, atol=1e-4)


def test_is_built_as_the_spec_says_from_its_seed_alone() -> None:
    spec = UNetField(kind="unet", channels=16, multipliers=(1, 2, 2), blocks=2, attention=True, label_dropout=0.1)
    network = build(spec, (1, 8, 8), 10)
    assert isinstance(network, VelocityUNet)
    assert network.null_label == 10
    assert [len(part) for part in network.down] == [2, 2, 2]  # type: ignore[arg-type]
    again = build(spec, (8, 8), 10).state_dict()
    assert all(torch.equal(w, again[name]) for name, w in network.state_dict().items())
    other = build(spec.model_copy(update={"seed": 1}), (8, 8), 10).state_dict()
    assert not torch.equal(other["enter.weight"], again["enter.weight"])


def test_no_label_is_the_null_label() -> None:
    v = NetworkVelocity(stirred(0, (6, 6), 3, 8, (1, 2), null_label=True))
    x = torch.randn(4, 36)
    free = v.evaluate(x, 0.3, None).velocity
    assert torch.equal(free, v.evaluate(x, 0.3, torch.full((4,), 3)).velocity)
    assert not torch.allclose(free, v.evaluate(x, 0.3, torch.arange(4) % 3).velocity, atol=1e-3)
