"""From prepared coordinates back to the pictures a pretrained network wants to see."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from kpe_core.data.datasets import Prepared
from kpe_core.devices import CPU
from kpe_core.errors import UserError
from kpe_core.features.decoder import decoder_of

Images = Callable[[Tensor], Tensor]
"""Points in prepared coordinates (B, D) ↦ RGB images (B, 3, H, W) float32 in [0, 1], on the points' device."""


def images_of(prepared: Prepared, device: torch.device = CPU) -> Images:
    """Undo the preparation and scale the data's range to [0, 1]; what lies beyond is cut, grey becomes three channels.
    Latents are decoded by the VAE their spec names, which is on ``device``, as they must be.

    Raises
    ------
    UserError
        when the points are no pictures: 2-D sets, or latents without a VAE that decodes them.
    """
    shape = prepared.shape
    if prepared.kind == "latent" or prepared.vae is not None:
        decoder = decoder_of(prepared, device)
        return lambda x: (decoder.decode(_raw(prepared, x)) + 1.0) / 2.0
    if not prepared.is_image or prepared.channels not in (1, 3):
        raise UserError(
            f"{prepared.name!r} has points of shape {shape} that are no pictures; a pretrained network looks at grey "
            "(H, W) or colour (3, H, W) ones. Use the extractors pixels or pca"
        )
    if prepared.value_range is None:
        raise UserError(f"{prepared.name!r} has no value range, which pictures need; give data.value_range")
    low, high = prepared.value_range

    def to_images(x: Tensor) -> Tensor:
        pictures = ((_raw(prepared, x) - low) / (high - low)).clamp(0.0, 1.0)
        pictures = pictures[:, None] if len(shape) == 2 else pictures
        return pictures.expand(-1, 3, -1, -1)

    return to_images


def _raw(prepared: Prepared, x: Tensor) -> Tensor:
    return torch.from_numpy(prepared.affine.invert(x.cpu().numpy().reshape(-1, *prepared.shape))).to(x.device)


def resized(images: Tensor, side: int) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] at (side, side): bicubic, antialiased where they shrink, cut to [0, 1]."""
    if images.shape[-2:] == (side, side):
        return images
    return F.interpolate(images, (side, side), mode="bicubic", antialias=True).clamp(0.0, 1.0)


def normalised(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(pixel − mean) / std, channel by channel."""
    centre, spread = (images.new_tensor(values)[:, None, None] for values in (mean, std))
    return (images - centre) / spread
