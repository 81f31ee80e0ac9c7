"""A U-Net of the usual kind for 32×32 images, as a user would bring one: what recording is measured against."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, silu

from kpe_core.fields.base import Evaluation


class Residual(nn.Module):
    def __init__(self, inside: int, outside: int, time: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, inside), nn.Conv2d(inside, outside, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(8, outside), nn.Conv2d(outside, outside, 3, padding=1)
        self.time, self.skip = nn.Linear(time, outside), nn.Conv2d(inside, outside, 1)

    def forward(self, h: Tensor, t: Tensor) -> Tensor:
        inner = self.conv1(silu(self.norm1(h))) + self.time(t)[:, :, None, None]
        return self.skip(h) + self.conv2(silu(self.norm2(inner)))


class UNet(nn.Module):
    """3×32×32 in and out, three resolutions, about a million parameters."""

    def __init__(self, width: int = 32, time: int = 64) -> None:
        super().__init__()
        sizes = (width, 2 * width, 4 * width)
        self.time = nn.Sequential(nn.Linear(1, time), nn.SiLU(), nn.Linear(time, time))
        self.enter, self.leave = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 3, 3, padding=1)
        self.down = nn.ModuleList(Residual(a, b, time) for a, b in zip((width, *sizes), sizes, strict=False))
        self.up = nn.ModuleList(Residual(a + b, b, time) for a, b in zip(sizes[:0:-1], sizes[-2::-1], strict=True))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        c, h, skips = self.time(t[:, None]), self.enter(x), []
        for level, block in enumerate(self.down):
            h = block(nn.functional.avg_pool2d(h, 2) if level else h, c)
            skips.append(h)
        skips.pop()
        for block in self.up:
            h = block(torch.cat([interpolate(h, scale_factor=2.0), skips.pop()], dim=1), c)
        return self.leave(h)


class UNetVelocity:
    """The network as a velocity field on flat states (B, 3072)."""

    singular_at_one = False
    evaluations = 1

    def __init__(self) -> None:
        self.network = UNet().eval()

    @torch.inference_mode()
    def evaluate(self, x: Tensor, t: float, label: Tensor | None) -> Evaluation:
        images = x.to(torch.float32).view(-1, 3, 32, 32)
        return Evaluation(self.network(images, torch.full((len(x),), t)).flatten(1))
