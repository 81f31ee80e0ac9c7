"""A small class-conditional network for v(x, t, y): a residual MLP, and a faster way through it at one time."""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding as gather
from torch.nn.functional import linear, silu

from kpe_core.fields.base import Evaluation

TIME_FREQUENCIES = 32
CACHED = 2**17
"""Numbers in one activation of the rows computed together: half a megabyte, so that a few of them stay in cache."""


def time_features(t: Tensor) -> Tensor:
    """Sines and cosines of t (B,) at geometric frequencies from 1 to 1000 rad, (B, 2·TIME_FREQUENCIES)."""
    scale = torch.exp(torch.linspace(0.0, math.log(1000.0), TIME_FREQUENCIES, dtype=t.dtype, device=t.device))
    angle = t[:, None] * scale
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class ResidualBlock(nn.Module):
    """h ← h + W₂ silu(W₁ norm(h) + c), with the conditioning c added before the nonlinearity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, width)
        self.condition = nn.Linear(width, width)
        self.contract = nn.Linear(width, width)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        return h + self.contract(silu(self.expand(self.norm(h)) + self.condition(c)))

    def shift(self, c: Tensor) -> Tensor:
        """What ``advance`` adds before the nonlinearity, for conditionings ``c`` (C, width)."""
        return linear(c, self.condition.weight, self.condition.bias + self.expand.bias)

    def advance(self, h: Tensor, shift: Tensor) -> Tensor:
        """``forward``, given each row's shift; overwrites ``h``."""
        inner = silu(torch.addmm(shift, self.norm(h), self.expand.weight.T), inplace=True)
        return h.addmm_(inner, self.contract.weight.T).add_(self.contract.bias)


class VelocityMLP(nn.Module):
    """v_θ(x, t, y): x (B, D), t (B,), y (B,) int64 → (B, D), all float32.

    With ``null_label`` there is one more class, of index ``n_classes``, that stands for no class at all.
    """

    def __init__(self, dim: int, n_classes: int, width: int, depth: int, null_label: bool = False) -> None:
        super().__init__()
        self.null_label = n_classes if null_label else None
        self.embed_state = nn.Linear(dim, width)
        self.embed_time = nn.Sequential(nn.Linear(2 * TIME_FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.embed_label = nn.Embedding(n_classes + null_label, width)
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.read_out = nn.Linear(width, dim)

    def forward(self, x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        c = silu(self.embed_time(time_features(t)) + self.embed_label(label))
        h = self.embed_state(x)
        for block in self.blocks:
            h = block(h, c)
        return self.read_out(self.norm(h))

    def at_time(self, x: Tensor, t: float, label: Tensor) -> Tensor:
        """``forward`` for one time common to all rows, but for float32 rounding; for evaluation, not for training.

        What depends on t and the class alone is computed once for every class, whichever occur (once a row where there
        are fewer rows than classes), and gathered; large batches go through in parts that stay in cache.
        """
        embedding = self.embed_label.weight
        if len(x) < len(embedding):
            embedding, label = self.embed_label(label), torch.arange(len(x))
        c = silu(self.embed_time(time_features(x.new_full((1,), t))) + embedding)
        blocks = cast(list[ResidualBlock], list(self.blocks))
        shifts = [block.shift(c) for block in blocks]
        v = torch.empty_like(x)
        rows = max(1, CACHED // embedding.shape[1])
        for x_part, label_part, v_part in zip(x.split(rows), label.split(rows), v.split(rows), strict=True):
            h = self.embed_state(x_part)
            for block, shift in zip(blocks, shifts, strict=True):
                h = block.advance(h, gather(label_part, shift))
            v_part.copy_(self.read_out(self.norm(h)))
        return v


class NetworkVelocity:
    """A trained network as a velocity field."""

    dtype = torch.float32
    singular_at_one = False
    evaluations = 1

    def __init__(self, network: VelocityMLP) -> None:
        self.network = network.eval()

    @torch.inference_mode()
    def evaluate(self, x: Tensor, t: float, label: Tensor | None) -> Evaluation:
        """v_θ(x, t, y) in float32 for ``x`` (B, D) of any float dtype; without ``label``, v_θ(x, t, ∅).

        Raises
        ------
        ValueError
            without ``label`` where the network was trained without label dropout, and knows no ∅.
        """
        if label is None:
            if self.network.null_label is None:
                raise ValueError(
                    "this network is class-conditional and needs labels; label_dropout > 0 trains it without"
                )
            label = torch.full((len(x),), self.network.null_label, device=x.device)
        return Evaluation(self.network.at_time(x.to(self.dtype), t, label))
