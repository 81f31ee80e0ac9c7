"""torchvision without its compiled operators."""

import importlib
import importlib.util


def declare_torchvision_operators() -> None:
    """Let torchvision be imported where its compiled part was built for another torch than the one installed.

    Packages that only transform images import all of torchvision, which then fails with «operator torchvision::nms does
    not exist». Nothing here calls such an operator, so naming them is enough. Call it before importing open_clip,
    torch_fidelity, diffusers or transformers; it does nothing where torchvision is absent or whole.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    import torch

    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in ("nms", "qnms"):
            if not hasattr(torch.ops.torchvision, name):
                torch.library.define(
                    f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                )
        importlib.import_module("torchvision")
