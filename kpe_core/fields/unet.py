"""A class-conditional U-Net for v(x, t, y) on images of any side."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, pixel_shuffle, pixel_unshuffle, scaled_dot_product_attention, silu

from kpe_core.fields.embedding import Conditioning

GROUPS = 8
"""Of the normalisations; divides every number of channels."""
HEAD = 32
"""Channels of one attention head."""


class ResidualBlock(nn.Module):
    """h ← skip(h) + conv(silu(norm(conv(silu(norm(h)))) · (1 + s) + b)), where the conditioning gives s and b.

    The last convolution starts at nought, so that an untrained block passes its input on.
    """

    def __init__(self, inside: int, outside: int, width: int) -> None:
        super().__init__()
        self.norm_in, self.norm_out = nn.GroupNorm(GROUPS, inside), nn.GroupNorm(GROUPS, outside)
        self.conv_in = nn.Conv2d(inside, outside, 3, padding=1)
        self.conv_out = _nought(nn.Conv2d(outside, outside, 3, padding=1))
        self.condition = nn.Linear(width, 2 * outside)
        self.skip = nn.Conv2d(inside, outside, 1) if inside != outside else nn.Identity()

    def forward(self, h: Tensor, modulation: Tensor) -> Tensor:
        """``h`` (B, inside, H, W), ``modulation`` (B, 2·outside): s, then b."""
        gain, shift = modulation[:, :, None, None].chunk(2, dim=1)
        inner = self.norm_out(self.conv_in(silu(self.norm_in(h))))
        return self.skip(h) + self.conv_out(silu(torch.addcmul(inner + shift, inner, gain)))


class Attention(nn.Module):
    """h ← h + self-attention over the pixels of h (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // HEAD)
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.read = nn.Conv2d(channels, 3 * channels, 1)
        self.write = _nought(nn.Conv2d(channels, channels, 1))

    def forward(self, h: Tensor) -> Tensor:
        n, channels, height, width = h.shape
        apart = self.read(self.norm(h)).reshape(n, 3, self.heads, channels // self.heads, height * width)
        query, key, value = apart.transpose(-1, -2).unbind(dim=1)
        seen = scaled_dot_product_attention(query, key, value).transpose(-1, -2)
        return h + self.write(seen.reshape(n, channels, height, width))


class VelocityUNet(nn.Module):
    """v_θ(x, t, y): flat images x (B, D), t (B,), y (B,) int64 → (B, D), all float32.

    Levels of ``channels · multipliers[k]`` channels, each half the side of the one before, rounded up, so that any side
    will do; ``blocks`` residual blocks a level on the way down and as many on the way up, which see what those saw.

    Parameters
    ----------
    shape : (H, W), or (C, H, W), of one image
    patch : side of the squares of pixels that are taken in and put out as one: 2 costs a quarter of 1
    attention : whether pixels attend to each other at the lowest resolution
    null_label : as in :class:`~kpe_core.fields.embedding.Conditioning`
    """

    def __init__(
        self,
        shape: Sequence[int],
        n_classes: int,
        channels: int,
        multipliers: Sequence[int],
        blocks: int = 1,
        patch: int = 1,
        attention: bool = False,
        null_label: bool = False,
    ) -> None:
        super().__init__()
        self.shape = (1, *shape) if len(shape) == 2 else tuple(shape)
        self.patch, pixels = patch, self.shape[0] * patch**2
        widths, width = [channels * m for m in multipliers], 4 * channels
        self.conditioning = Conditioning(n_classes, width, null_label)
        self.enter = nn.Conv2d(pixels, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        inside = widths[0]
        for outside in widths:
            self.down.append(_blocks([inside] + [outside] * (blocks - 1), outside, width))
            inside = outside
        self.middle = _blocks([inside, inside], inside, width)
        self.attention = Attention(inside) if attention else nn.Identity()
        for outside in reversed(widths):
            self.up.append(_blocks([inside + outside] + [2 * outside] * (blocks - 1), outside, width))
            inside = outside
        shrinking = [nn.Conv2d(c, c, 3, stride=2, padding=1) for c in widths[:-1]]
        growing = [nn.Conv2d(c, c, 3, padding=1) for c in widths[:0:-1]]
        self.shrink, self.grow = nn.ModuleList(shrinking), nn.ModuleList(growing)
        self.leave = nn.Sequential(
            nn.GroupNorm(GROUPS, widths[0]), nn.SiLU(), _nought(nn.Conv2d(widths[0], pixels, 3, padding=1))
        )
        # Convolutions on CPUs are faster with the channels together.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def null_label(self) -> int | None:
        return self.conditioning.null_label

    def forward(self, x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        c = self.conditioning(t, label)
        return self._through(x, [block.condition(c) for block in self._in_order()])

    def at_time(self, x: Tensor, t: float, label: Tensor) -> Tensor:
        """``forward`` for one time common to all rows, but for float32 rounding; what depends on t and the class alone
        is computed once for every class."""
        c, place = self.conditioning.at_time(t, label)
        return self._through(x, [block.condition(c)[place] for block in self._in_order()])

    def _in_order(self) -> list[ResidualBlock]:
        """The blocks as a state meets them."""
        return [
            cast(ResidualBlock, b) for part in (*self.down, self.middle, *self.up) for b in cast(nn.ModuleList, part)
        ]

    def _through(self, x: Tensor, modulations: list[Tensor]) -> Tensor:
        told = iter(modulations)
        h = self.enter(self._patches(x.view(-1, *self.shape)).contiguous(memory_format=torch.channels_last))
        seen: list[Tensor] = []
        for level, part in enumerate(self.down):
            h = self.shrink[level - 1](h) if level else h
            for block in cast(nn.ModuleList, part):
                h = block(h, next(told))
                seen.append(h)
        first, second = self.middle
        h = second(self.attention(first(h, next(told))), next(told))
        for level, part in enumerate(self.up):
            h = self.grow[level - 1](interpolate(h, size=seen[-1].shape[-2:])) if level else h
            for block in cast(nn.ModuleList, part):
                h = block(torch.cat([h, seen.pop()], dim=1), next(told))
        _, height, width = self.shape
        return pixel_shuffle(self.leave(h), self.patch)[:, :, :height, :width].reshape(x.shape)

    def _patches(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) as (B, C·patch², ⌈H/patch⌉, ⌈W/patch⌉), noughts below and to the right where they must be."""
        below, right = (-side % self.patch for side in images.shape[-2:])
        return pixel_unshuffle(pad(images, (0, right, 0, below)), self.patch)


def _blocks(inside: list[int], outside: int, width: int) -> nn.ModuleList:
    return nn.ModuleList(ResidualBlock(channels, outside, width) for channels in inside)


def _nought(convolution: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(convolution.weight)
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return convolution
