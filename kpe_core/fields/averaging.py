"""An exponential moving average (EMA) of a network's weights."""

import torch
from torch import Tensor, nn


def decay_at(decay: float, step: int) -> float:
    """Of the average after step ``step``, from 1: min(decay, (1 + s)/(10 + s)).

    Early averages span the last tenth or so of a training that has only begun, and forget the random weights it began with.
    """
    return min(decay, (1 + step) / (10 + step))


class Average:
    """θ̄_s = d_s θ̄_{s−1} + (1 − d_s) θ_s of a network's parameters, d_s by :func:`decay_at`, θ̄_0 = θ_0."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network, self.decay = network, decay
        self.mean = {name: p.detach().clone() for name, p in network.named_parameters()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step ``step``, from 1."""
        now = dict(self.network.named_parameters())
        torch._foreach_lerp_(  # one call for all of them
            list(self.mean.values()), [now[name].detach() for name in self.mean], 1.0 - decay_at(self.decay, step)
        )

    def weights(self) -> dict[str, Tensor]:
        """The network's ``state_dict`` with the averages in place of its parameters."""
        return {**self.network.state_dict(), **self.mean}

    def load(self, weights: dict[str, Tensor]) -> None:
        """Go on from averages that :meth:`weights` gave."""
        for name, mean in self.mean.items():
            mean.copy_(weights[name])
