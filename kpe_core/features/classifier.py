"""A small convolutional classifier of the real images, trained on the spot."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kpe_core.study.specs import ClassifierSpace

BATCH = 64
LEARNING_RATE = 2e-3


class SmallClassifier(nn.Module):
    """Two convolutions, then a linear layer of features, then one logit a class.

    Takes points (B, D) float32 of a shape (H, W) or (C, H, W).
    """

    def __init__(self, shape: tuple[int, ...], n_classes: int, features: int) -> None:
        super().__init__()
        channels, height, width = (1, *shape)[-3:]
        self.shape = (channels, height, width)
        self.convolve = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        )  # fmt: skip
        self.embed = nn.Linear(32 * (height // 4) * (width // 4), features)
        self.read_out = nn.Linear(features, n_classes)

    def features(self, x: Tensor) -> Tensor:
        """(B, features), before the last rectification, so that their distribution is close to Gaussian."""
        return self.embed(self.convolve(x.view(-1, *self.shape)))

    def logits(self, features: Tensor) -> Tensor:
        """(B, n_classes)."""
        return torch.as_tensor(self.read_out(nn.functional.relu(features)))

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(self.features(x))


def train_classifier(
    spec: ClassifierSpace, x: NDArray[np.float32], labels: NDArray[np.int64], shape: tuple[int, ...], n_classes: int
) -> SmallClassifier:
    """Fit on real points ``x`` (N, D) of a shape (H, W) or (C, H, W) by cross-entropy.

    The result depends on spec and data alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        network = SmallClassifier(shape, n_classes, spec.features)
    rate = LEARNING_RATE
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, spec.epochs)
    draw = torch.Generator().manual_seed(spec.seed)
    data, target = torch.from_numpy(x), torch.from_numpy(labels)
    for _ in range(spec.epochs):
        for pick in torch.randperm(len(data), generator=draw).split(BATCH):
            loss = nn.functional.cross_entropy(network(data[pick]), target[pick])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        schedule.step()
    return network.eval()
