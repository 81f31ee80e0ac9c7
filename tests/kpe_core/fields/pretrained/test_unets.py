"""The two U-Net layouts against what the published code made of the same weights and inputs.

The golden values were computed once with [BO]'s Unet.py and torchcfm 1.0.7's UNetModelWrapper, weights and inputs as in
``written``; the key hashes are of those modules' own state_dicts.
"""

from pathlib import Path

import pytest
import torch
from torch import nn

from kpe_core.errors import UserError
from kpe_core.fields.pretrained.authors_unet import AuthorsUNet
from kpe_core.fields.pretrained.guided_unet import GuidedUNet
from kpe_core.weights.tensors import Tensors, fill
from tests.kpe_core.fields.pretrained.written import authors_shapes, guided_shapes, key_hash, patterned, ripple


def filled(network: nn.Module, tensors: Tensors) -> nn.Module:
    fill(network, tensors, Path("here"), "this network")
    return network.eval()


def authors(tensors: Tensors) -> nn.Module:
    with torch.device("meta"):
        return filled(AuthorsUNet({k: v.shape for k, v in tensors.items()}), tensors)


def guided(tensors: Tensors, **heads: int) -> nn.Module:
    with torch.device("meta"):
        return filled(GuidedUNet({k: v.shape for k, v in tensors.items()}, **heads), tensors)


def assert_golden(out: torch.Tensor, expected: list[float]) -> None:
    flat = out.flatten()
    seen = torch.stack([flat[i] for i in range(0, len(flat), len(flat) // 6)])
    assert torch.allclose(seen, torch.tensor(expected), atol=2e-5)


@torch.no_grad()
@pytest.mark.parametrize(
    ("base", "multiples", "attention", "shape", "keys", "expected"),
    [
        (32, (1, 2, 4), (False, True, True), (2, 1, 32, 32), "151c6cf620bc0d00",
         [-0.11741, 0.31869, 0.32024, -0.28356, 0.32311, 0.32299, -0.08835]),
        (8, (1, 2), (False, True), (2, 1, 8, 8), "8052c252ac283fa6",
         [-0.74452, 0.14906, 1.10925, -0.52499, -0.14582, 0.58347, -0.13779]),
        (16, (1, 2, 2), (True, False, False), (1, 3, 16, 16), "806e5a8b57e04a7e",
         [0.02757, 0.11476, -0.30152, -0.40173, -0.64493, -0.53332]),
    ],
)  # fmt: skip
def test_authors_unet_answers_as_their_code(
    base: int, multiples: tuple[int, ...], attention: tuple[bool, ...], shape: tuple[int, ...], keys: str,
    expected: list[float],
) -> None:  # fmt: skip
    shapes = authors_shapes(base, multiples, attention, shape[1])
    assert key_hash(shapes) == keys
    network = authors(patterned(shapes))
    assert_golden(network(ripple(*shape), torch.tensor([0, 999])[: shape[0]]), expected)


@torch.no_grad()
def test_torchcfm_answers_as_their_code() -> None:
    """The CIFAR-10 example's own size."""
    shapes = guided_shapes(128, (1, 2, 2, 2), 2, (2,))
    assert key_hash(shapes) == "643b0572a1fdc4f0"
    out = guided(patterned(shapes))(ripple(1, 3, 32, 32), torch.tensor([0.25]))
    assert_golden(out, [-0.06574, -0.03611, 0.23454, 0.10304, 0.30765, 0.13961])


@torch.no_grad()
def test_torchcfm_answers_by_class() -> None:
    shapes = guided_shapes(32, (1, 2), 1, (2,), 3, classes=5)
    assert key_hash(shapes) == "59749322c8d306d6"
    network = guided(patterned(shapes), head_channels=32)
    out = network(ripple(2, 3, 8, 8), torch.tensor([0.25, 0.75]), torch.tensor([0, 4]))
    assert_golden(out, [-0.21965, 0.1515, 0.50519, -0.29293, 0.06939, 0.41951])


def test_heads_must_divide() -> None:
    tensors = patterned(guided_shapes(32, (1, 2), 1, (2,)))
    with pytest.raises(UserError, match="64 channels do not divide into heads of 48; say heads or head_channels"):
        guided(tensors, head_channels=48)


@pytest.mark.parametrize(("build", "what"), [(authors, "the authors' U-Net"), (guided, "guided-diffusion's U-Net")])
def test_another_state_dict_is_named(build, what: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match=f"this is no state_dict of {what}: it lacks .*; its keys are like net.weight"):
        build({"net.weight": torch.zeros(2, 2)})
