"""Model files as other people's code writes them, small: their keys and shapes listed here, not taken from our modules."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


def patterned(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Weights that can be made anywhere without a random generator: cosines, of a size that lets signals through."""
    out = {}
    for i, (key, shape) in enumerate(sorted(shapes.items())):
        n = math.prod(shape)
        wave = torch.cos(torch.arange(n, dtype=torch.float64) * 0.37 + i)
        fan = max(1, n // shape[0])
        is_norm = len(shape) == 1 and key.endswith("weight")
        out[key] = ((1 + 0.1 * wave) if is_norm else wave / math.sqrt(fan)).reshape(shape).float()
    return out


def ripple(*shape: int) -> Tensor:
    """An input that can be made anywhere."""
    return torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) * 0.11).reshape(shape).float()


def key_hash(shapes: Mapping[str, tuple[int, ...]]) -> str:
    lines = "\n".join(f"{k} {tuple(v)}" for k, v in sorted(shapes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def _conv(name: str, inward: int, out: int, side: int = 3) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, inward, side, side)
    yield f"{name}.bias", (out,)


def _linear(name: str, inward: int, out: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, inward)
    yield f"{name}.bias", (out,)


def _norm(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (channels,)
    yield f"{name}.bias", (channels,)


# -- [BO]'s and [KE]'s U-Net -------------------------------------------------------------------------------------------


def authors_shapes(base: int, multiples: Sequence[int], attention: Sequence[bool], channels: int = 1) -> Shapes:
    """Keys and shapes that their code saves; two residual blocks a level."""
    time = 4 * base

    def residual(name: str, inward: int, out: int, attends: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
        for block, c in (("block1", inward), ("block2", out)):
            yield from _conv(f"{name}.{block}.conv", c, out)
            yield from _norm(f"{name}.{block}.norm", c)
        yield from _linear(f"{name}.dense", time, out)
        if inward != out:
            yield from _conv(f"{name}.res_conv", inward, out, 1)
        if attends:
            yield from _norm(f"{name}.attention.group_norm", out)
            yield f"{name}.attention.mhsa.in_proj_weight", (3 * out, out)
            yield f"{name}.attention.mhsa.in_proj_bias", (3 * out,)
            yield from _linear(f"{name}.attention.mhsa.out_proj", out, out)

    def everything() -> Iterator[tuple[str, tuple[int, ...]]]:
        yield "time_embeddings.time_mlp.0.weight", (1000, base)
        yield from _linear("time_embeddings.time_mlp.1", base, time)
        yield from _linear("time_embeddings.time_mlp.3", time, time)
        yield from _conv("init_conv", channels, base)
        kept, here, i = [base], base, 0
        for level, multiple in enumerate(multiples):
            for _ in range(2):
                yield from residual(f"encoder_blocks.{i}", here, base * multiple, attention[level])
                here, i = base * multiple, i + 1
                kept.append(here)
            if level < len(multiples) - 1:
                yield from _conv(f"encoder_blocks.{i}.downsample", here, here)
                i += 1
                kept.append(here)
        for j in range(2):
            yield from residual(f"bottleneck_blocks.{j}", here, here, j == 0)
        i = 0
        for level in reversed(range(len(multiples))):
            for _ in range(3):
                yield from residual(f"decoder_blocks.{i}", here + kept.pop(), base * multiples[level], attention[level])
                here, i = base * multiples[level], i + 1
            if level:
                yield from _conv(f"decoder_blocks.{i}.upsample.1", here, here)
                i += 1
        yield from _conv("final_block.conv", here, channels)
        yield from _norm("final_block.norm", here)

    return dict(everything())


# -- guided-diffusion's U-Net, as torchcfm saves it --------------------------------------------------------------------


def guided_shapes(
    base: int,
    multiples: Sequence[int],
    blocks: int,
    attends_at: Sequence[int],
    channels: int = 3,
    classes: int | None = None,
) -> Shapes:
    """Keys and shapes that torchcfm's code saves; ``attends_at``: downsampling rates with attention."""
    time = 4 * base

    def residual(name: str, inward: int, out: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield from _norm(f"{name}.in_layers.0", inward)
        yield from _conv(f"{name}.in_layers.2", inward, out)
        yield from _linear(f"{name}.emb_layers.1", time, out)
        yield from _norm(f"{name}.out_layers.0", out)
        yield from _conv(f"{name}.out_layers.3", out, out)
        if inward != out:
            yield from _conv(f"{name}.skip_connection", inward, out, 1)

    def attention(name: str, c: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield from _norm(f"{name}.norm", c)
        yield from (
            (f"{name}.qkv.weight", (3 * c, c, 1)), (f"{name}.qkv.bias", (3 * c,)),
            (f"{name}.proj_out.weight", (c, c, 1)), (f"{name}.proj_out.bias", (c,)),
        )  # fmt: skip

    def everything() -> Iterator[tuple[str, tuple[int, ...]]]:
        yield from _linear("time_embed.0", base, time)
        yield from _linear("time_embed.2", time, time)
        if classes is not None:
            yield "label_emb.weight", (classes, time)
        here, i, rate = base * multiples[0], 1, 1
        yield from _conv("input_blocks.0.0", channels, here)
        kept = [here]
        for level, multiple in enumerate(multiples):
            for _ in range(blocks):
                yield from residual(f"input_blocks.{i}.0", here, base * multiple)
                here = base * multiple
                if rate in attends_at:
                    yield from attention(f"input_blocks.{i}.1", here)
                kept.append(here)
                i += 1
            if level < len(multiples) - 1:
                yield from _conv(f"input_blocks.{i}.0.op", here, here)
                kept.append(here)
                i, rate = i + 1, 2 * rate
        yield from residual("middle_block.0", here, here)
        yield from attention("middle_block.1", here)
        yield from residual("middle_block.2", here, here)
        i = 0
        for level in reversed(range(len(multiples))):
            for k in range(blocks + 1):
                yield from residual(f"output_blocks.{i}.0", here + kept.pop(), base * multiples[level])
                here, part = base * multiples[level], 1
                if rate in attends_at:
                    yield from attention(f"output_blocks.{i}.1", here)
                    part = 2
                if level and k == blocks:
                    yield from _conv(f"output_blocks.{i}.{part}.conv", here, here)
                    rate //= 2
                i += 1
        yield from _norm("out.0", here)
        yield from _conv("out.2", base * multiples[0], channels)

    return dict(everything())


def authors_file(path: Path) -> Path:
    """A tiny checkpoint of [BO]'s training, saved from DataParallel as they do: 8×8 grey, 72193 numbers."""
    tensors = patterned(authors_shapes(8, (1, 2), (False, True)))
    torch.save({f"module.{k}": v for k, v in tensors.items()}, path)
    return path


def torchcfm_file(path: Path, channels: int = 1, classes: int | None = None) -> Path:
    """A tiny checkpoint of torchcfm's CIFAR-10 example: other weights as ``net_model`` than as ``ema_model``."""
    tensors = patterned(guided_shapes(32, (1, 2), 1, (2,), channels, classes))
    plain = {k: v + 0.01 for k, v in tensors.items()}
    torch.save(
        {"net_model": plain, "ema_model": tensors, "sched": {"last_epoch": 3}, "optim": {"state": {}}, "step": 3}, path
    )
    return path
