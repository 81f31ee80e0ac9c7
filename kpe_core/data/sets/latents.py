"""Latents of a VAE, encoded beforehand: safetensors or npy shards, such as 4×32×32 of ImageNet at 256×256."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpe_core.data.class_names import BESIDE, file_of, names_for
from kpe_core.data.files import missing, root_of, unreadable
from kpe_core.data.sets.array import open_npy, require_labels
from kpe_core.data.source import DataSet, Source
from kpe_core.documents import parse_json
from kpe_core.errors import UserError
from kpe_core.study.specs import DataSpec

SIDECAR = "latents.json"
ORIGIN = "you: the data encoded by the VAE of the model at hand"
LAYOUT = (
    "*.safetensors with tensors `latents` (N, C, H, W) and, if there are classes, `labels` (N,); or *.npy shards "
    f'(N, C, H, W) with labels/<the same name>.npy (N,); {SIDECAR} beside them may say {{"scale_factor": 0.18215, '
    f'"class_names": [...]}}, and {" or ".join(BESIDE)} names classes too'
)


@dataclass(frozen=True)
class Shard:
    """One file of latents."""

    path: Path
    n: int
    shape: tuple[int, ...]
    labels: NDArray[np.int64] | None
    rows: Callable[[NDArray[np.intp]], NDArray[Any]]


def index(spec: DataSpec) -> list[Path]:
    """The shards, their labels and the sidecar."""
    root = root_of(spec)
    shards = sorted(root.glob("*.safetensors")) or sorted(root.glob("*.npy"))
    if not shards:
        looked = [root / "*.safetensors", root / "*.npy"]
        raise missing(spec, "any shard of latents", looked, ORIGIN)
    beside = [root / "labels" / path.name for path in shards] + [root / SIDECAR]
    return shards + [path for path in beside if path.is_file()] + file_of(spec)


def open_(spec: DataSpec) -> Source:
    """The shards' shapes and labels; latents are read from disk as they are asked for, and scaled.

    Raises
    ------
    UserError
        for missing or damaged shards, shapes that differ, labels of some shards only, and a scale factor nobody says.
    """
    index(spec)
    root = root_of(spec)
    shards = [_safetensors(p) for p in sorted(root.glob("*.safetensors"))] or [
        _npy(p) for p in sorted(root.glob("*.npy"))
    ]
    for shard in shards:
        if 0 in shard.shape:
            raise unreadable(shard.path, f"latents of shape {shard.shape} hold no number", "write it again")
        if shard.shape != shards[0].shape:
            raise unreadable(
                shard.path, f"latents of shape {shard.shape}, and {shards[0].shape} in {shards[0].path.name}"
            )
        if (shard.labels is None) != (shards[0].labels is None):
            without = shard if shard.labels is None else shards[0]
            raise unreadable(
                without.path, "it has no labels, and other shards have", "give all of them labels, or none"
            )
    sidecar = _sidecar(root / SIDECAR)
    factor = spec.scale_factor if spec.scale_factor is not None else sidecar.get("scale_factor")
    if not isinstance(factor, int | float) or not factor > 0:
        raise UserError(
            f"the scale factor of the latents in {root} is not declared; set data.scale_factor (Stable Diffusion's VAE: "
            f'0.18215; 1 where they are scaled already), or write {{"scale_factor": …}} into {root / SIDECAR}'
        )
    labels, names = _labels(spec, shards, sidecar)
    starts = np.cumsum([0, *(shard.n for shard in shards)])

    def read(rows: NDArray[np.intp]) -> NDArray[np.float32]:
        out = np.empty((len(rows), *shards[0].shape), dtype=np.float32)
        of = np.searchsorted(starts, rows, side="right") - 1
        for s in np.unique(of):
            here = of == s
            out[here] = shards[s].rows(rows[here] - starts[s])
        return out * np.float32(factor)

    return Source("latent", shards[0].shape, labels, names, read, scale_factor=float(factor))


def _labels(spec: DataSpec, shards: list[Shard], sidecar: dict[str, Any]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    if shards[0].labels is None:
        return np.zeros(sum(shard.n for shard in shards), dtype=np.int64), ("all",)
    labels = np.concatenate([shard.labels for shard in shards if shard.labels is not None])
    numbers = tuple(str(c) for c in range(int(labels.max()) + 1))
    said = names_for(spec, numbers) or tuple(str(name) for name in sidecar.get("class_names", ()))
    if said and len(numbers) > len(said):
        raise unreadable(
            shards[0].path, f"label {numbers[-1]} is out of range: {SIDECAR} names {len(said)} classes", "name them all"
        )
    return labels, said or numbers


def _sidecar(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise unreadable(path, f"not valid JSON ({error})", "mend it") from None
    if not isinstance(found, dict) or not isinstance(found.get("class_names", []), list):
        raise unreadable(path, 'not of the form {"scale_factor": …, "class_names": [...]}', "mend it")
    return found


def _safetensors(path: Path) -> Shard:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as f:
            if "latents" not in (names := list(f.keys())):
                raise unreadable(path, f"it has no tensor `latents`, only {', '.join(names) or 'none'}", "rename it")
            piece = f.get_slice("latents")
            n, *shape = piece.get_shape()
            _require_latent(path, tuple(shape), str(piece.get_dtype()) in ("F16", "F32", "F64"), piece.get_dtype())
            labels = require_labels(f.get_tensor("labels"), n, path) if "labels" in names else None
    except SafetensorError as error:
        raise unreadable(path, f"not a whole safetensors file ({error})") from None

    def rows(index: NDArray[np.intp]) -> NDArray[Any]:
        with safe_open(path, framework="np") as f:
            piece = f.get_slice("latents")
            return np.concatenate([piece[int(i) : int(i) + 1] for i in index])

    return Shard(path, int(n), tuple(int(s) for s in shape), labels, rows)


def _npy(path: Path) -> Shard:
    array = open_npy(path)
    _require_latent(path, array.shape[1:], array.dtype.kind == "f", array.dtype)
    beside = path.parent / "labels" / path.name
    labels = require_labels(open_npy(beside), len(array), beside) if beside.is_file() else None
    return Shard(path, len(array), array.shape[1:], labels, lambda index: array[index])


def _require_latent(path: Path, shape: tuple[int, ...], floats: bool, dtype: object) -> None:
    if not floats:
        raise unreadable(path, f"latents of type {dtype}; float16, float32 or float64 are wanted", "convert them")
    if len(shape) != 3:
        raise unreadable(
            path, f"latents of shape (N, {', '.join(map(str, shape))}); (N, C, H, W) is wanted", "reshape them"
        )
    if shape[0] == 8:
        raise unreadable(
            path, "8 channels are a mean and a log variance side by side", "store samples or means, of 4 channels"
        )


LATENTS: dict[str, DataSet] = {"latents": DataSet(open=open_, index=index, layout=LAYOUT, origin=ORIGIN)}
