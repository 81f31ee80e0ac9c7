"""The precision of a network's products, as a choice and not as whatever torch was left at."""

import contextlib
from collections.abc import Iterator

import torch

from kpe_core.errors import UserError
from kpe_core.study.specs.sampling import Precision


@contextlib.contextmanager
def precision(name: Precision, device: torch.device) -> Iterator[None]:
    """For a while, products of float32 tensors on ``device`` are made in this precision; float64 ones always in their own.

    ``float32``: 24 bits; torch left alone would take TF32 for a GPU's convolutions. ``tf32``: factors rounded to 11 bits,
    sums in float32. ``bfloat16``: autocast, products and sums rounded to 8 bits, and what autocast holds to be delicate in
    float32. What torch was told before holds again afterwards.

    Raises
    ------
    UserError
        when TF32 is asked of a device that is no GPU.
    """
    require_precision(name, device)
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = name == "tf32"
    try:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=name == "bfloat16"):
            yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before


def nearest_precision(name: Precision, device: torch.device) -> Precision:
    """``name`` where ``device`` can; else the next finer one, for looking again at what was computed elsewhere."""
    return "float32" if name == "tf32" and device.type != "cuda" else name


def require_precision(name: Precision, device: torch.device) -> None:
    """Whether ``device`` can.

    Raises
    ------
    UserError
        as `precision` does.
    """
    if name == "tf32" and device.type != "cuda":
        raise UserError("sampling.precision = tf32 is an NVIDIA GPU's, and there is none here; use float32 or bfloat16")
