"""The U-Net of [BO]'s published code, which [KE] builds on: its state_dict loads key by key.

Layout after https://github.com/tbonnair/Why-Diffusion-Models-Don-t-Memorize (MIT), ``Experiments/src/Utils/Unet.py``.
Widths, levels and attention are read off the shapes; only the number of heads is not in a state_dict.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, silu

from kpe_core.errors import UserError

GROUPS = 8
HEADS = 4
MARK = "time_embeddings.time_mlp.0.weight"
"""A key no other layout has: the table of time embeddings, (1000, base channels)."""

Shapes = Mapping[str, torch.Size]


class NormedConv(nn.Module):
    """conv(silu(norm(x)))."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 3, padding=1)
        self.norm = nn.GroupNorm(GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(silu(self.norm(x)))


class PixelAttention(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(GROUPS, channels)
        self.mhsa = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.group_norm(x).flatten(2).transpose(1, 2)
        mixed, _ = self.mhsa(rows, rows, rows, need_weights=False)
        return x + mixed.transpose(1, 2).reshape(x.shape)


class Residual(nn.Module):
    def __init__(self, channels: int, out: int, time_width: int, heads: int | None) -> None:
        super().__init__()
        self.block1, self.block2 = NormedConv(channels, out), NormedConv(out, out)
        self.dense = nn.Linear(time_width, out)
        self.res_conv = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()
        self.attention = nn.Identity() if heads is None else PixelAttention(out, heads)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.block1(x) + self.dense(silu(time))[:, :, None, None]
        return self.attention(self.block2(h) + self.res_conv(x))


class Down(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.downsample = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.downsample(x)


class Up(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.upsample = nn.Sequential(nn.Identity(), nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.upsample(interpolate(x, scale_factor=2.0, mode="nearest"))


class TimeTable(nn.Module):
    """An embedding of whole times 0 … T − 1, and two layers."""

    def __init__(self, times: int, width: int, out: int) -> None:
        super().__init__()
        self.time_mlp = nn.Sequential(
            nn.Embedding(times, width), nn.Linear(width, out), nn.GELU(), nn.Linear(out, out)
        )  # fmt: skip

    def forward(self, time: Tensor) -> Tensor:
        return self.time_mlp(time)


class AuthorsUNet(nn.Module):
    """x (B, C, H, W) and whole times (B,) int64 → (B, C, H, W); H and W divide by 2 to the number of ``Down``s.

    Built from the shapes of a state_dict, so that what it is need not be said twice.

    Raises
    ------
    UserError
        when the shapes are not of this layout; names the first key missing.
    """

    def __init__(self, shapes: Shapes, heads: int = HEADS) -> None:
        super().__init__()
        self.times, width = _shape(shapes, MARK)
        time_width = _shape(shapes, "time_embeddings.time_mlp.1.weight")[0]
        self.time_embeddings = TimeTable(self.times, width, time_width)
        first = _shape(shapes, "init_conv.weight")
        self.channels = first[1]
        self.init_conv = nn.Conv2d(first[1], first[0], 3, padding=1)

        def stack(name: str) -> nn.ModuleList:
            present = {int(key.split(".")[1]) for key in shapes if key.startswith(f"{name}.")}
            return nn.ModuleList(
                _layer(shapes, f"{name}.{i}", time_width, heads) for i in range(1 + max(present, default=-1))
            )

        self.encoder_blocks = stack("encoder_blocks")
        self.bottleneck_blocks = stack("bottleneck_blocks")
        self.decoder_blocks = stack("decoder_blocks")
        last = _shape(shapes, "final_block.conv.weight")
        self.final_block = NormedConv(last[1], last[0])

    @property
    def divisor(self) -> int:
        return 2 ** sum(isinstance(layer, Down) for layer in self.encoder_blocks)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        c = self.time_embeddings(time)
        h = self.init_conv(x)
        kept = [h]
        for layer in self.encoder_blocks:
            h = layer(h, c)
            kept.append(h)
        for layer in self.bottleneck_blocks:
            h = layer(h, c)
        for layer in self.decoder_blocks:
            h = layer(torch.cat([h, kept.pop()], dim=1) if isinstance(layer, Residual) else h, c)
        return self.final_block(h)


def _layer(shapes: Shapes, name: str, time_width: int, heads: int) -> nn.Module:
    if f"{name}.downsample.weight" in shapes:
        return Down(shapes[f"{name}.downsample.weight"][0])
    if f"{name}.upsample.1.weight" in shapes:
        return Up(shapes[f"{name}.upsample.1.weight"][0])
    out, channels = _shape(shapes, f"{name}.block1.conv.weight")[:2]
    attends = any(key.startswith(f"{name}.attention.") for key in shapes)
    return Residual(channels, out, time_width, heads if attends else None)


def _shape(shapes: Shapes, key: str) -> torch.Size:
    if key not in shapes:
        raise UserError(
            f"this is no state_dict of the authors' U-Net: it lacks {key}; its keys are like {next(iter(shapes))}"
        )
    return shapes[key]
