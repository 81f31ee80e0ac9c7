"""Points as pictures: grey in its declared range, colour as colour, latents decoded, or in false colour without a VAE."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpe_core.data.datasets import Prepared
from kpe_core.report.drawing import enlarged

FALSE_COLOUR = (0.01, 0.99)
"""Quantiles of each channel of some latents that become dark and bright."""


def pictures(prepared: Prepared, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Prepared points (n, *shape) as enlarged pictures: (n, H, W) of raw grey values, or (n, H, W, 3) from 0 to 1.

    Latents are decoded by the VAE their data name; without one their first three channels are shown, each stretched over
    its own values. So is colour without a declared range, all channels together.
    """
    if prepared.kind == "latent" and prepared.vae is not None:
        return np.moveaxis(enlarged(_decoded(prepared, x)), 1, -1)
    raw = prepared.affine.invert(x)
    if len(prepared.shape) == 2:
        return enlarged(raw)
    rgb = raw[:, :3] if raw.shape[1] >= 3 else np.repeat(raw[:, :1], 3, axis=1)
    if prepared.is_image:
        low, high = prepared.value_range or (float(rgb.min()), float(rgb.max()))
    else:
        low, high = np.quantile(rgb, FALSE_COLOUR, axis=(0, 2, 3), keepdims=True)
    shown = np.clip((rgb - low) / np.maximum(high - low, 1e-12), 0.0, 1.0)
    return np.moveaxis(enlarged(shown.astype(np.float32)), 1, -1)


def _decoded(prepared: Prepared, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 3, H, W) from 0 to 1."""
    # Other reports do without torch.
    import torch

    from kpe_core.features.images import images_of

    return images_of(prepared)(torch.from_numpy(np.ascontiguousarray(x))).numpy()


def show(ax: Any, picture: NDArray[np.float32], prepared: Prepared) -> None:
    """Draw a picture, or a mosaic of such."""
    if picture.ndim == 3:
        ax.imshow(picture)
        return
    low, high = prepared.value_range or (float(np.nanmin(picture)), float(np.nanmax(picture)))
    ax.imshow(picture, cmap="gray", vmin=low, vmax=high)
