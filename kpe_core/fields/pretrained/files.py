"""Files of tensors: found, hashed, read without running anything in them."""

import functools
import hashlib
import os
import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from kpe_core.errors import UserError

Tensors = dict[str, Tensor]
ENTRIES = ("ema_model", "ema", "model_ema", "state_dict", "model", "net_model", "net")
"""Where training code keeps a state_dict within a checkpoint, averaged weights first."""
WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every key."""


def require_file(path: Path, what: str) -> Path:
    """``path``, where something is.

    Raises
    ------
    UserError
        when nothing is; says what was looked for and where.
    """
    if not path.exists():
        raise UserError(
            f"{what} is missing; looked for {path}. Put it there, or set fields.path in the study (or by --set)"
        )
    return path


def sha256_of(path: Path) -> str:
    """Of a file's content, computed once a process for as long as the file does not change."""
    stat = path.stat()
    return _sha256(str(path), stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _sha256(path: str, size: int, modified: int) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def sha256_of_all(paths: Iterable[Path], root: Path) -> str:
    """Of several files: of their names below ``root`` and their hashes."""
    lines = sorted(f"{os.path.relpath(path, root)} {sha256_of(path)}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


# -- reading -----------------------------------------------------------------------------------------------------------


def read_document(path: Path) -> Any:
    """What a .safetensors file or a ``torch.save`` file holds; nothing in it is run.

    Raises
    ------
    UserError
        when the file is cut short or no such file, or is a pickle that wants code; names the way out.
    """
    if archive_kind(path) is not None:
        raise UserError(f"{path} is a program; use layout: {archive_kind(path)}")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wants = re.search(r"(?:GLOBAL|global|Unsupported class|builtin)\s+`?([\w.]+)", str(error))
        raise UserError(
            f"{path} is a pickle that wants {wants[1] if wants else 'more than tensors'}, and loading it could run any "
            "program; it was not loaded. If you trust it, save its tensors once: "
            f"{resaving(path)}"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({_first_line(error)}); it may be cut short: fetch it again") from None


def archive_kind(path: Path) -> Literal["torchscript", "exported"] | None:
    """Of a file that holds a program; told from the names in it."""
    if not zipfile.is_zipfile(path):
        return None
    try:
        names = [name.partition("/")[2] for name in zipfile.ZipFile(path).namelist()]
    except zipfile.BadZipFile:
        return None
    if any(name.startswith("code/") for name in names):
        return "torchscript"
    return "exported" if any(name.startswith("models/") for name in names) else None


def resaving(path: Path) -> str:
    """One line that saves a trusted pickle's tensors as safetensors."""
    new = path.with_suffix(".safetensors").name
    return (
        "python -c \"import sys, torch, safetensors.torch as s; d = torch.load(sys.argv[1], map_location='cpu', "
        f"weights_only=False); d = next((d[e] for e in {ENTRIES} if e in d), d); "
        f"s.save_file({{k: v.contiguous() for k, v in d.items() if torch.is_tensor(v)}}, '{new}')\" {path.name}"
    )


def read_tensors(path: Path, entry: str | None = None) -> Tensors:
    """The state_dict of a file: the whole of it, or its ``entry``, or the first of ENTRIES it has; without wrappers.

    Raises
    ------
    UserError
        as ``read_document``; when there is no such entry, or no tensors.
    """
    document = read_document(path)
    if not isinstance(document, Mapping):
        raise UserError(f"{path} holds a {type(document).__name__}, not a state_dict")
    inner = {str(k): v for k, v in document.items() if isinstance(v, Mapping) and v and _all_tensors(v)}
    if entry is not None and entry not in inner:
        known = ", ".join(inner) or "none: it is a state_dict itself; leave entry out"
        raise UserError(f"{path} has no state_dict {entry!r}; it has {known}")
    name = entry or next((e for e in ENTRIES if e in inner), None)
    found = inner[name] if name is not None else document
    if not found or not _all_tensors(found):
        raise UserError(f"{path} holds no state_dict; its keys are {_some(map(str, document))}")
    return {_unwrapped(str(k)): v for k, v in found.items() if k != "n_averaged"}


def _all_tensors(mapping: Mapping[Any, Any]) -> bool:
    return all(isinstance(v, Tensor) for v in mapping.values())


def _unwrapped(key: str) -> str:
    for wrapper in WRAPPERS:
        key = key.removeprefix(wrapper)
    return key


# -- into a module -----------------------------------------------------------------------------------------------------


def fill(network: nn.Module, tensors: Tensors, path: Path) -> None:
    """Give ``network``, built on the meta device, exactly these tensors.

    Raises
    ------
    UserError
        when keys are missing or too many, shapes or kinds differ, or a number is not finite; names the first three.
    """
    wanted = network.state_dict()
    if missing := [key for key in wanted if key not in tensors]:
        raise UserError(f"{path} lacks {_some(missing)} ({len(missing)} of {len(wanted)} keys)")
    if unknown := [key for key in tensors if key not in wanted]:
        raise UserError(f"{path} has keys that this layout does not know: {_some(unknown)} ({len(unknown)})")
    shapes = [
        f"{k} {tuple(v.shape)} instead of {tuple(wanted[k].shape)}"
        for k, v in tensors.items()
        if v.shape != wanted[k].shape
    ]
    if shapes:
        raise UserError(f"{path} has the wrong shapes: {_some(shapes)}")
    if kinds := [f"{k} {v.dtype}" for k, v in tensors.items() if not v.is_floating_point()]:
        raise UserError(f"{path} should hold floating-point weights; it has {_some(kinds)}")
    if bad := [key for key, v in tensors.items() if not bool(torch.isfinite(v).all())]:
        raise UserError(f"{path} holds NaN or infinity in {_some(bad)}")
    network.load_state_dict(tensors, assign=True)


def _some(names: Iterable[str]) -> str:
    """The first three."""
    listed = list(names)
    return ", ".join(listed[:3]) + (" …" if len(listed) > 3 else "")


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split("\n")[0].split())[:200] or type(error).__name__
