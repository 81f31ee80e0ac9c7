"""A small class-conditional network for v(x, t, y): a residual MLP."""

import math

import torch
from torch import Tensor, nn

from kpe_core.fields.base import Evaluation

TIME_FREQUENCIES = 32


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
        return h + self.contract(nn.functional.silu(self.expand(self.norm(h)) + self.condition(c)))


class VelocityMLP(nn.Module):
    """v_θ(x, t, y): x (B, D), t (B,), y (B,) int64 → (B, D), all float32."""

    def __init__(self, dim: int, n_classes: int, width: int, depth: int) -> None:
        super().__init__()
        self.embed_state = nn.Linear(dim, width)
        self.embed_time = nn.Sequential(nn.Linear(2 * TIME_FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.embed_label = nn.Embedding(n_classes, width)
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.read_out = nn.Linear(width, dim)

    def forward(self, x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        c = nn.functional.silu(self.embed_time(time_features(t)) + self.embed_label(label))
        h = self.embed_state(x)
        for block in self.blocks:
            h = block(h, c)
        return self.read_out(self.norm(h))


class NetworkVelocity:
    """A trained network as a velocity field."""

    dtype = torch.float32
    singular_at_one = False

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()

    @torch.inference_mode()
    def evaluate(self, x: Tensor, t: float, label: Tensor | None) -> Evaluation:
        """v_θ(x, t, y) for ``x`` (B, D) float32; a class-conditional network needs ``label``."""
        if label is None:
            raise ValueError("this network is class-conditional and needs labels")
        return Evaluation(self.network(x.to(self.dtype), torch.full((len(x),), t, dtype=self.dtype), label))
