"""The U-Net of guided-diffusion, as torchcfm's ``UNetModelWrapper`` names its parts: its state_dict loads key by key.

Layout after https://github.com/openai/guided-diffusion and https://github.com/atong01/conditional-flow-matching (both MIT).
Everything but the attention heads is read off the shapes; blocks that resample inside a residual block are not in them,
and are not supported.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, scaled_dot_product_attention

from kpe_core.errors import UserError

GROUPS = 32
HEAD_CHANNELS = 64
MARK = "input_blocks.0.0.weight"

Shapes = Mapping[str, torch.Size]


def time_features(time: Tensor, width: int) -> Tensor:
    """Cosines and sines of ``time`` (B,) at geometric frequencies from 1 down to 1/10000, (B, width)."""
    half = width // 2
    frequency = torch.exp(-math.log(10_000) * torch.arange(half, dtype=torch.float32, device=time.device) / half)
    angle = time[:, None].float() * frequency
    features = torch.cat([angle.cos(), angle.sin()], dim=1)
    return torch.cat([features, features.new_zeros(len(time), width % 2)], dim=1)


class Residual(nn.Module):
    def __init__(self, channels: int, out: int, time_width: int, scales: bool, projects: bool) -> None:
        super().__init__()
        self.scales = scales
        self.in_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, channels), nn.SiLU(), nn.Conv2d(channels, out, 3, padding=1)
        )  # fmt: skip
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_width, 2 * out if scales else out))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, out), nn.SiLU(), nn.Identity(), nn.Conv2d(out, out, 3, padding=1)
        )
        self.skip_connection = nn.Conv2d(channels, out, 1) if projects else nn.Identity()

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        h, told = self.in_layers(x), self.emb_layers(c)[:, :, None, None]
        if self.scales:
            scale, shift = told.chunk(2, dim=1)
            h = self.out_layers[1:](self.out_layers[0](h) * (1 + scale) + shift)
        else:
            h = self.out_layers(h + told)
        return self.skip_connection(x) + h


class Attention(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        b, channels, *_ = x.shape
        rows = x.flatten(2)
        # One head after another, each with its own q, k and v.
        q, k, v = self.qkv(self.norm(rows)).view(b, self.heads, 3, channels // self.heads, -1).transpose(3, 4).unbind(2)
        mixed = scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(b, channels, -1)
        return (rows + self.proj_out(mixed)).view(x.shape)


class Down(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        return self.op(x)


class Up(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        return self.conv(interpolate(x, scale_factor=2.0, mode="nearest"))


class First(nn.Conv2d):
    def forward(self, x: Tensor, c: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x)


class Chain(nn.ModuleList):
    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        for layer in self:
            h = layer(h, c)
        return h


class GuidedUNet(nn.Module):
    """x (B, C, H, W), times (B,), classes (B,) or None → (B, C, H, W), the first C channels where it predicts 2C.

    Raises
    ------
    UserError
        when the shapes are not of this layout, or do not divide into heads.
    """

    def __init__(self, shapes: Shapes, heads: int | None = None, head_channels: int | None = None) -> None:
        super().__init__()
        first = _shape(shapes, MARK)
        self.channels = first[1]
        time_width, self.features = _shape(shapes, "time_embed.0.weight")
        self.time_embed = nn.Sequential(
            nn.Linear(self.features, time_width), nn.SiLU(), nn.Linear(time_width, time_width)
        )
        if "label_emb.weight" in shapes:
            self.label_emb = nn.Embedding(*shapes["label_emb.weight"])
        read = _Reader(shapes, time_width, heads, head_channels)
        self.input_blocks = nn.ModuleList(read.chains("input_blocks"))
        self.middle_block = read.chain("middle_block")
        self.output_blocks = nn.ModuleList(read.chains("output_blocks"))
        last = _shape(shapes, "out.2.weight")
        self.out = nn.Sequential(nn.GroupNorm(GROUPS, last[1]), nn.SiLU(), nn.Conv2d(last[1], last[0], 3, padding=1))

    @property
    def divisor(self) -> int:
        return 2 ** sum(isinstance(layer, Down) for layer in self.input_blocks.modules())

    @property
    def labels(self) -> int | None:
        """Classes it embeds, its null label among them; None: it takes none."""
        return self.label_emb.num_embeddings if hasattr(self, "label_emb") else None

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        c = self.time_embed(time_features(time, self.features).to(x.dtype))
        if label is not None:
            c = c + self.label_emb(label)
        h, kept = x, []
        for chain in self.input_blocks:
            h = chain(h, c)
            kept.append(h)
        h = self.middle_block(h, c)
        for chain in self.output_blocks:
            h = chain(torch.cat([h, kept.pop()], dim=1), c)
        return self.out(h)[:, : self.channels]


class _Reader:
    """Makes layers of the shapes of their tensors."""

    def __init__(self, shapes: Shapes, time_width: int, heads: int | None, head_channels: int | None) -> None:
        self.shapes, self.time_width, self.heads, self.head_channels = shapes, time_width, heads, head_channels

    def chains(self, name: str) -> list[Chain]:
        return [self.chain(f"{name}.{i}") for i in self._numbers(name)]

    def chain(self, name: str) -> Chain:
        return Chain(self._layer(f"{name}.{i}") for i in self._numbers(name))

    def _numbers(self, name: str) -> range:
        start = f"{name}."
        present = {int(key[len(start) :].split(".")[0]) for key in self.shapes if key.startswith(start)}
        if not present:
            raise UserError(f"this is no state_dict of guided-diffusion's U-Net: it lacks {name}")
        return range(1 + max(present))

    def _layer(self, name: str) -> nn.Module:
        shapes = self.shapes
        if name == MARK.removesuffix(".weight"):
            return First(shapes[MARK][1], shapes[MARK][0], 3, padding=1)
        if f"{name}.op.weight" in shapes:
            return Down(shapes[f"{name}.op.weight"][0])
        if f"{name}.conv.weight" in shapes:
            return Up(shapes[f"{name}.conv.weight"][0])
        if f"{name}.qkv.weight" in shapes:
            return self._attention(name, shapes[f"{name}.qkv.weight"][1])
        out, channels = _shape(shapes, f"{name}.in_layers.2.weight")[:2]
        scales = _shape(shapes, f"{name}.emb_layers.1.weight")[0] == 2 * out
        return Residual(channels, out, self.time_width, scales, f"{name}.skip_connection.weight" in shapes)

    def _attention(self, name: str, channels: int) -> Attention:
        heads = self.heads or channels / (self.head_channels or HEAD_CHANNELS)
        if heads != int(heads) or channels % int(heads):
            raise UserError(
                f"{name}: {channels} channels do not divide into heads of {self.head_channels or HEAD_CHANNELS}; "
                "say heads or head_channels"
            )
        return Attention(channels, int(heads))


def _shape(shapes: Shapes, key: str) -> torch.Size:
    if key not in shapes:
        raise UserError(
            f"this is no state_dict of guided-diffusion's U-Net: it lacks {key}; its keys are like {next(iter(shapes))}"
        )
    return shapes[key]
