"""Packages that not every installation has, and torchvision where only its compiled part is missing."""

import importlib
import importlib.util
from typing import Any

from kpe_core.errors import UserError


def need(module: str, package: str) -> Any:
    """The module, imported.

    Raises
    ------
    UserError
        when its package is not installed.
    """
    declare_torchvision_operators()
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{package} is not installed or cannot be imported ({error}); it comes with pip install -e '.[models]'"
        ) from None


def declare_torchvision_operators() -> None:
    """Let torchvision be imported where its compiled part was built for another torch than the one installed.

    Packages that only transform images import all of torchvision, which then fails with «operator torchvision::nms does
    not exist». Nothing here calls such an operator, so naming them is enough. Call it before importing open_clip,
    torch_fidelity, diffusers or transformers, as ``need`` does; it does nothing where torchvision is absent or whole.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    from torch import library, ops

    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in ("nms", "qnms"):
            if not hasattr(ops.torchvision, name):
                library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        importlib.import_module("torchvision")
