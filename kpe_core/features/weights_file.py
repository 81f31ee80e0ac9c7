"""Pretrained weights from local files: found, hashed, and loaded without running anything they might contain."""

import functools
import hashlib
import pickle
import zipfile
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from kpe_core.errors import UserError

NAMED = 3
"""Keys listed in a message."""


def found(path: str, what: str, source: str) -> Path:
    """The file or folder ``path``, ``~`` expanded; relative ones are looked for in the current folder.

    Raises
    ------
    UserError
        when there is none; says what is missing, where it was looked for and where it comes from (``source``).
    """
    place = Path(path).expanduser().absolute()
    if not place.exists():
        raise UserError(f"{what}: {place} does not exist. {source}")
    return place


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes; of a folder, of its files' names and bytes. Computed again only when one has changed."""
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file())
    digests = [_file_digest(f, f.stat().st_mtime_ns, f.stat().st_size) for f in files]
    if path.is_file():
        return digests[0]
    named = "\n".join(f"{f.name} {d}" for f, d in zip(files, digests, strict=True))
    return hashlib.sha256(named.encode()).hexdigest()


@functools.lru_cache(maxsize=64)
def _file_digest(path: Path, changed: int, size: int) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def tensors_of(path: Path) -> dict[str, Tensor]:
    """The state dict in a safetensors file, or in one of ``torch.save`` (bare, or under ``state_dict``).

    Raises
    ------
    UserError
        when the file is cut short, is none of these, or wants code to be run.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Weights only load failed" in str(error) or "weights_only" in str(error):
            raise UserError(
                f"{path} holds more than tensors, and what else is in it could run code, so it is not loaded. "
                "Save its state_dict alone, best as safetensors"
            ) from None
        raise UserError(f"{path} is not a readable weights file: {error}") from None
    except (RuntimeError, EOFError, OSError, ValueError, zipfile.BadZipFile, safetensors.SafetensorError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is not a readable weights file (cut short?): {said}") from None
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise UserError(f"{path} holds no state_dict (names and tensors)")
    return loaded


def fill(network: nn.Module, tensors: dict[str, Tensor], path: Path, what: str) -> None:
    """Load ``tensors`` into ``network``, key by key.

    Raises
    ------
    UserError
        when keys are missing or left over, shapes differ, or values are not finite; names the first of them.
    """
    own = network.state_dict()
    # Counters of batches seen in training play no part here; older files lack them.
    missing = [k for k in own if k not in tensors and not k.endswith("num_batches_tracked")]
    unknown = [k for k in tensors if k not in own]
    other = [
        f"{k} {tuple(tensors[k].shape)}, not {tuple(own[k].shape)}"
        for k in own
        if k in tensors and tensors[k].shape != own[k].shape
    ]
    broken = [k for k, v in tensors.items() if v.is_floating_point() and not bool(torch.isfinite(v).all())]
    for problem, keys in (
        ("without", missing),
        ("with unknown", unknown),
        ("of other shape:", other),
        ("not finite:", broken),
    ):
        if keys:
            more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
            raise UserError(f"{path} is not {what}: {problem} {', '.join(keys[:NAMED])}{more}")
    network.load_state_dict(tensors, strict=False)
