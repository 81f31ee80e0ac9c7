"""From latents to pictures: the AutoencoderKL that a latent model was trained behind."""

from pathlib import Path

import torch
from torch import Tensor

from kpe_core.fields.pretrained.diffusers_folder import open_model


class LatentDecoder:
    """A diffusers ``vae`` folder.

    Parameters
    ----------
    folder : with ``config.json`` and safetensors
    scaled : whether latents come multiplied by the VAE's own ``scaling_factor``, as diffusion models see them

    Raises
    ------
    UserError
        when the folder is missing, broken or not what its configuration says.
    """

    def __init__(self, folder: Path, scaled: bool = True) -> None:
        self.network = open_model(folder, "AutoencoderKL", torch.float32)
        config = self.network.config
        self.factor = float(config["scaling_factor"]) if scaled else 1.0
        self.shift = float(config.get("shift_factor") or 0.0) if scaled else 0.0

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, C, h, w) of any float dtype → pictures (B, 3, H, W) float32 in [−1, 1]."""
        z = latents.to(torch.float32) / self.factor + self.shift
        pictures: Tensor = self.network.decode(z, return_dict=False)[0]
        return pictures.clamp(-1.0, 1.0)
