"""A residual MLP for v(x, t, y), and a faster way through it at one time."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding as gather
from torch.nn.functional import linear, silu

from kpe_core.fields.embedding import Conditioning

CACHED = 2**17
"""Numbers in one activation of the rows computed together: half a megabyte, so that a few of them stay in cache."""


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
    """v_θ(x, t, y): x (B, D), t (B,), y (B,) int64 → (B, D), all float32."""

    def __init__(self, dim: int, n_classes: int, width: int, depth: int, null_label: bool = False) -> None:
        super().__init__()
        self.embed_state = nn.Linear(dim, width)
        self.conditioning = Conditioning(n_classes, width, null_label)
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.read_out = nn.Linear(width, dim)

    @property
    def null_label(self) -> int | None:
        return self.conditioning.null_label

    def forward(self, x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        c = self.conditioning(t, label)
        h = self.embed_state(x)
        for block in self.blocks:
            h = block(h, c)
        return self.read_out(self.norm(h))

    def at_time(self, x: Tensor, t: float, label: Tensor) -> Tensor:
        """``forward`` for one time common to all rows, but for float32 rounding; for evaluation, not for training.

        What depends on t and the class alone is computed once for every class and gathered; on a CPU, large batches
        go through in parts that stay in cache.
        """
        c, place = self.conditioning.at_time(t, label)
        blocks = cast(list[ResidualBlock], list(self.blocks))
        shifts = [block.shift(c) for block in blocks]
        v = torch.empty_like(x)
        rows = max(1, CACHED // c.shape[1]) if x.device.type == "cpu" else max(1, len(x))
        for x_part, place_part, v_part in zip(x.split(rows), place.split(rows), v.split(rows), strict=True):
            h = self.embed_state(x_part)
            for block, shift in zip(blocks, shifts, strict=True):
                h = block.advance(h, gather(place_part, shift))
            v_part.copy_(self.read_out(self.norm(h)))
        return v
