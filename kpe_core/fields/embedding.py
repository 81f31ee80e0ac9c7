"""What a network is told beside the state: the time and the class, as one vector."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

TIME_FREQUENCIES = 32


def time_features(t: Tensor) -> Tensor:
    """Sines and cosines of t (B,) at geometric frequencies from 1 to 1000 rad, (B, 2·TIME_FREQUENCIES)."""
    scale = torch.exp(torch.linspace(0.0, math.log(1000.0), TIME_FREQUENCIES, dtype=t.dtype, device=t.device))
    angle = t[:, None] * scale
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class Conditioning(nn.Module):
    """c(t, y): t (B,), y (B,) int64 → (B, width).

    With ``null_label`` there is one more class, of index ``n_classes``, that stands for no class at all.
    """

    def __init__(self, n_classes: int, width: int, null_label: bool) -> None:
        super().__init__()
        self.null_label = n_classes if null_label else None
        self.embed_time = nn.Sequential(nn.Linear(2 * TIME_FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.embed_label = nn.Embedding(n_classes + null_label, width)

    def forward(self, t: Tensor, label: Tensor) -> Tensor:
        return silu(self.embed_time(time_features(t)) + self.embed_label(label))

    def at_time(self, t: float, label: Tensor) -> tuple[Tensor, Tensor]:
        """c of one time common to all rows: a table (C, width), and each row's place in it (B,).

        One entry a class, whichever occur; one a row where there are fewer rows than classes.
        """
        table = self.embed_label.weight
        if len(label) < len(table):
            table, label = self.embed_label(label), torch.arange(len(label), device=label.device)
        return silu(self.embed_time(time_features(table.new_full((1,), t))) + table), label
