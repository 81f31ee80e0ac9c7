"""From latents to pictures: the AutoencoderKL that the data were encoded by."""

import functools
import math
from pathlib import Path

import torch
from torch import Tensor

from kpe_core.data.datasets import Prepared
from kpe_core.devices import CPU
from kpe_core.errors import UserError
from kpe_core.fields.pretrained.diffusers_config import Decoder, Named
from kpe_core.fields.pretrained.diffusers_folder import open_model, weights_of
from kpe_core.weights.files import as_said, found, read_config, sha256_of_all

SOURCE = (
    "It is the vae folder of the diffusers pipeline whose model the latents are for (facebook/DiT-XL-2-256 on the Hugging "
    "Face hub has one), or a repository such as stabilityai/sd-vae-ft-ema. Put it there, or set data.vae"
)
WIDEST_BYTES = 256 * 2**20
"""Of the widest layer's output for the latents decoded at once: some four for 256×256 pictures, a few such layers live at a
time. The number depends on shapes alone, so that no machine decides a last digit."""


class LatentDecoder:
    """A diffusers ``vae`` folder.

    Parameters
    ----------
    folder : with ``config.json`` and safetensors
    device : where it decodes

    Raises
    ------
    UserError
        when the folder is missing, broken or not what its configuration says.
    """

    def __init__(self, folder: Path, device: torch.device = CPU) -> None:
        config = _configuration(folder)
        if (name := read_config(config, Named).class_name) != "AutoencoderKL":
            raise UserError(f"data.vae: {folder} holds a {name}, and an AutoencoderKL is wanted")
        self.folder = folder
        self.network = open_model(folder, "AutoencoderKL", torch.float32).to(device)
        kept = as_said(dict(self.network.config), Decoder, config)
        self.channels, self.factor, self.shift = kept.latent_channels, kept.scaling_factor, kept.shift_factor or 0.0
        self._widths = kept.block_out_channels
        self._last: tuple[bytes, Tensor] | None = None
        try:
            self.decode(torch.zeros(1, self.channels, 4, 4, device=device))
        except Exception as error:  # whatever a configuration makes of it
            raise UserError(f"data.vae: {folder} cannot decode: {' '.join(str(error).split())[:200]}") from None

    def at_once(self, rows: int, columns: int) -> int:
        """How many latents of (C, rows, columns) are decoded together."""
        pixels = rows * columns * 4 ** (len(self._widths) - 1)
        return max(1, WIDEST_BYTES // (4 * pixels * self._widths[min(1, len(self._widths) - 1)]))

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents as diffusion models see them, (B, C, h, w) of any float dtype → pictures (B, 3, H, W) float32 in [−1, 1].

        What was decoded last is kept: several extractors look at the same samples one after the other.
        """
        z = latents.to(torch.float32)
        key = repr(tuple(z.shape)).encode() + z.contiguous().cpu().numpy().tobytes()
        if self._last is None or self._last[0] != key:
            parts = (z / self.factor + self.shift).split(self.at_once(*z.shape[-2:]))
            self._last = key, torch.cat([self.network.decode(part, return_dict=False)[0] for part in parts])
        return self._last[1].clamp(-1.0, 1.0)


def decoder_of(prepared: Prepared, device: torch.device = CPU) -> LatentDecoder:
    """The decoder of some data's latents, loaded on ``device`` once a process.

    Raises
    ------
    UserError
        when the data name none, name one without being latents, or latents that it cannot have encoded.
    """
    if prepared.vae is None:
        raise UserError(
            f"{prepared.name!r} has latents of shape {prepared.shape}, and a pretrained network looks at pictures: give "
            "data.vae, the folder of the AutoencoderKL that decodes them, or use the extractors pixels, pca or classifier"
        )
    if prepared.kind != "latent":
        raise UserError(
            f"data.vae decodes latents, and {prepared.name!r} has points of shape {prepared.shape}; remove it"
        )
    decoder = _decoder(prepared.vae, vae_sha256(prepared.vae), device)
    if decoder.channels != prepared.shape[0]:
        raise UserError(
            f"data.vae: {decoder.folder} decodes latents of {decoder.channels} channels; {prepared.name!r} has "
            f"{prepared.shape[0]} {prepared.shape}"
        )
    declared = prepared.scale_factor
    if declared != 1.0 and (decoder.shift or not math.isclose(declared, decoder.factor, rel_tol=1e-4)):
        shifted = f" and shifts them by {decoder.shift:g}" if decoder.shift else ""
        raise UserError(
            f"data.vae: {decoder.folder} scales its latents by {decoder.factor:g}{shifted}, and data.scale_factor is "
            f"{declared:g}; set it to {decoder.factor:g}, or to 1 where they are stored as the model sees them"
        )
    return decoder


def vae_sha256(folder: str) -> str:
    """SHA-256 of everything that determines the pictures a decoder makes.

    Raises
    ------
    UserError
        when the configuration or the weights are missing.
    """
    place = _configuration(Path(folder)).parent
    return sha256_of_all([place / "config.json", *weights_of(place)], place)


def _configuration(folder: Path) -> Path:
    return found(folder / "config.json", "data.vae, the AutoencoderKL that decodes latents,", SOURCE)


@functools.lru_cache(maxsize=1)
def _decoder(folder: str, sha256: str, device: torch.device) -> LatentDecoder:
    return LatentDecoder(Path(folder), device)
