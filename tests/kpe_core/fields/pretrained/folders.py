"""Tiny folders as diffusers itself saves them."""

from pathlib import Path

import torch


def unet(folder: Path, classes: int | None = None, channels: int = 1) -> torch.nn.Module:
    from diffusers import UNet2DModel

    torch.manual_seed(0)
    model = UNet2DModel(
        sample_size=8, in_channels=channels, out_channels=channels, layers_per_block=1, block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4, attention_head_dim=8, num_class_embeds=classes,
    )  # fmt: skip
    model.save_pretrained(folder)
    return model.eval()


def dit(folder: Path) -> torch.nn.Module:
    from diffusers import DiTTransformer2DModel

    torch.manual_seed(0)
    model = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=2, sample_size=8,
        patch_size=2, num_embeds_ada_norm=10, norm_num_groups=4,
    )  # fmt: skip
    model.save_pretrained(folder)
    return model.eval()


def vae(folder: Path) -> torch.nn.Module:
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    model = AutoencoderKL(
        in_channels=3, out_channels=3, block_out_channels=(8, 8), latent_channels=4, norm_num_groups=4, sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, scaling_factor=0.18215,
    )  # fmt: skip
    model.save_pretrained(folder)
    return model.eval()


def scheduler(folder: Path, name: str = "DDPMScheduler", **choices: object) -> None:
    import diffusers

    getattr(diffusers, name)(**choices).save_pretrained(folder / "scheduler")


def shards(folder: Path) -> torch.nn.Module:
    """A model in several files, with their index."""
    model = unet(folder)
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")  # type: ignore[operator]
    return model
