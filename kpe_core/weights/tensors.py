"""Tensors in files that others wrote: read without running anything in them, and put into a network key by key."""

import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from torch import Tensor, nn

from kpe_core.errors import UserError

Tensors = dict[str, Tensor]
ENTRIES = ("ema_model", "ema", "model_ema", "state_dict", "model", "net_model", "net")
"""Where training code keeps a state_dict within a checkpoint, averaged weights first."""
WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every key."""


# -- reading -----------------------------------------------------------------------------------------------------------


def read_document(path: Path) -> Any:
    """What a .safetensors file or a ``torch.save`` file holds; nothing in it is run.

    Raises
    ------
    UserError
        when the file is cut short or no such file, or is a pickle that wants code; names the way out.
    """
    if archive_kind(path) is not None:
        raise UserError(f"{path} is a program, not tensors; a field can be one (layout: {archive_kind(path)})")
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
    except Exception as error:  # a damaged pickle makes its reader fail in any way
        raise UserError(f"{path} cannot be read ({_first_line(error)}); it may be cut short: fetch it again") from None


def archive_kind(path: Path) -> Literal["torchscript", "exported"] | None:
    """Of a file that holds a program; told from the names in it."""
    try:
        if not zipfile.is_zipfile(path):
            return None
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] for name in archive.namelist()]
    except Exception:  # a damaged index fails in many ways
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


def fill(network: nn.Module, tensors: Tensors, path: Path, what: str) -> None:
    """Give ``network`` exactly these tensors; one built on the meta device takes them as they are, without a copy.

    Raises
    ------
    UserError
        when keys are missing or too many, shapes or kinds differ, or a number is not finite; names the first three and
        ``what`` the file should have held.
    """
    own = network.state_dict()
    # Counters of batches seen in training play no part here; older files lack them.
    wanted = [key for key in own if not key.endswith("num_batches_tracked")]
    missing = [key for key in wanted if key not in tensors]
    unknown = [key for key in tensors if key not in own]
    both = {key: (v, own[key]) for key, v in tensors.items() if key in own}
    shapes = [f"{k} {tuple(v.shape)} instead of {tuple(o.shape)}" for k, (v, o) in both.items() if v.shape != o.shape]
    kinds = [f"{k} {v.dtype}" for k, (v, o) in both.items() if v.is_floating_point() != o.is_floating_point()]
    infinite = [k for k, v in tensors.items() if v.is_floating_point() and not bool(torch.isfinite(v).all())]
    for problem, names in (
        (f"lacks ({len(missing)} of {len(wanted)} keys)", missing),
        (f"has unknown keys ({len(unknown)})", unknown),
        ("has other shapes", shapes),
        ("has numbers of another kind", kinds),
        ("has NaN or infinity", infinite),
    ):
        if names:
            raise UserError(f"{path} is not {what}: it {problem}: {_some(names)}")
    on_meta = any(v.is_meta for v in own.values())
    network.load_state_dict(tensors, strict=False, assign=on_meta)


def _some(names: Iterable[str]) -> str:
    """The first three."""
    listed = list(names)
    return ", ".join(listed[:3]) + (" …" if len(listed) > 3 else "")


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split("\n")[0].split())[:200] or type(error).__name__
