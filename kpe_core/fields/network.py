"""A network trained here: how it is built, and what it is to the sampler."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from kpe_core.fields.base import Evaluation
from kpe_core.fields.mlp import VelocityMLP
from kpe_core.fields.unet import VelocityUNet
from kpe_core.study.specs import NetworkField, UNetField

VelocityNetwork = VelocityMLP | VelocityUNet
"""Both are called with x (B, D), t (B,), y (B,) int64, have ``at_time`` for evaluation, and ``null_label``, the class
that stands for none (None where they were built without)."""
Weights = dict[str, Tensor]


def build(spec: NetworkField, shape: Sequence[int], n_classes: int) -> VelocityNetwork:
    """The untrained network for points of ``shape``; its initial weights depend on ``spec.seed`` alone."""
    null_label = spec.label_dropout > 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        if isinstance(spec, UNetField):
            return VelocityUNet(
                shape, n_classes, spec.channels, spec.multipliers, spec.blocks, spec.patch, spec.attention, null_label
            )
        return VelocityMLP(prod(shape), n_classes, spec.width, spec.depth, null_label)


def restore(spec: NetworkField, shape: Sequence[int], n_classes: int, weights: Weights) -> VelocityNetwork:
    """The network with weights that a training gave."""
    network = build(spec, shape, n_classes)
    network.load_state_dict(weights)
    return network


class NetworkVelocity:
    """A trained network as a velocity field."""

    dtype = torch.float32
    singular_at_one = False
    evaluations = 1

    def __init__(self, network: VelocityNetwork) -> None:
        self.network = network.eval()
        self.null_label = network.null_label

    @torch.inference_mode()
    def evaluate(self, x: Tensor, t: float, label: Tensor | None) -> Evaluation:
        """v_θ(x, t, y) in float32 for ``x`` (B, D) of any float dtype; without ``label``, v_θ(x, t, ∅). Under autocast in
        its dtype.

        Raises
        ------
        ValueError
            without ``label`` where the network was trained without label dropout, and knows no ∅.
        """
        if label is None:
            if self.null_label is None:
                raise ValueError(
                    "this network is class-conditional and needs labels; label_dropout > 0 trains it without"
                )
            label = torch.full((len(x),), self.null_label, device=x.device)
        x = x.to(self.dtype)
        if torch.is_autocast_enabled(x.device.type):
            # Autocast passes over the products in place that make `at_time` fast.
            return Evaluation(self.network(x, x.new_full((len(x),), t), label))
        return Evaluation(self.network.at_time(x, t, label))
