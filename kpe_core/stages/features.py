"""Stage: features of the real data, computed once for each (data, extractor, weights) and kept in the store."""

import functools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kpe_core.data.datasets import Prepared, load
from kpe_core.devices import CPU, device_here
from kpe_core.errors import UserError
from kpe_core.features.extractor import Extractor, ReadOut, extract
from kpe_core.features.registry import PretrainedSpace, build, weights_file, weights_sha256
from kpe_core.features.semantics import prototypes
from kpe_core.identity import digest
from kpe_core.precision import precision
from kpe_core.store.features import FeatureSet
from kpe_core.store.store import Store
from kpe_core.store.weights import WeightsBox
from kpe_core.study.runs import Run, space_recipe
from kpe_core.study.specs import DataSpec, PixelSpace, SpaceSpec, TrainedSpace
from kpe_core.threads import one_thread

ROWS = 1024
"""Real images one task computes at a time with a pretrained network: a multiple of the extractors' batch."""
ROWS_FITTED = 65_536
"""The same with the small classifier or with principal components."""


def features_id(run: Run, space: SpaceSpec, prepared: Prepared) -> str:
    """Hash of everything that determines the real data's features in one of the run's spaces."""
    return digest("features", prepared.split_fingerprint, space.feature_identity(), run.weights_of(space.name))


def kept_spaces(run: Run) -> list[SpaceSpec]:
    """Spaces whose features are kept in the store: all but the coordinates themselves."""
    return [space for space in run.measure.spaces if not isinstance(space, PixelSpace)]


def create_features(store: Store, run: Run, space: SpaceSpec, origin: dict[str, Any] | None = None) -> FeatureSet:
    """Lay out the real data's features in one space, unless that is done; its parts may then be computed anywhere.

    ``origin``: the provenance to write, where it is not this process's.
    """
    prepared = load(run.data)
    found = FeatureSet(store, features_id(run, space, prepared))
    if not found.exists():
        about = {
            "data": run.data.model_dump(mode="json"),
            "extractor": space.feature_identity(),
            "weights": run.weights_of(space.name),
            "split_fingerprint": prepared.split_fingerprint,
        }
        rows = ROWS_FITTED if isinstance(space, TrainedSpace) else ROWS
        dim = extractor_of(store.url, run.data, space, run.weights_of(space.name)).dim
        found.create(len(prepared.train), len(prepared.held_out), dim, rows, about, origin)
    return found


def compute_features(store: Store, run: Run, space: SpaceSpec, part: int) -> dict[str, int]:
    """Compute one part of the real data's features; does nothing when it is there."""
    prepared = load(run.data)
    found = FeatureSet(store, features_id(run, space, prepared))
    start, stop = found.rows(part)
    if part in found.missing():
        with one_thread():
            extractor = extractor_of(store.url, run.data, space, run.weights_of(space.name))
            found.write(part, extract(extractor, _rows(prepared, start, stop)).numpy())
    return {"part": part, "images": stop - start}


def compute_all(store: Store, run: Run) -> None:
    """Every missing part of every space of ``run``, here and now."""
    for space in kept_spaces(run):
        for part in create_features(store, run, space).missing():
            compute_features(store, run, space, part)


def _rows(prepared: Prepared, start: int, stop: int) -> torch.Tensor:
    """Points of the train split, then of the held-out one, (stop − start, D)."""
    n = len(prepared.train)
    parts = [prepared.train[start : min(stop, n)], prepared.held_out[max(0, start - n) : max(0, stop - n)]]
    return torch.from_numpy(np.concatenate(parts))


# -- reading -----------------------------------------------------------------------------------------------------------


def real_features(store: Store, run: Run, space: SpaceSpec, n: int | None = None) -> NDArray[np.float32]:
    """Features of the train split's first ``n`` points, or of all of them, (n, F)."""
    prepared = load(run.data)
    if isinstance(space, PixelSpace):
        return prepared.train[:n]
    return FeatureSet(store, features_id(run, space, prepared)).train(n)


def held_out_features(store: Store, run: Run, space: SpaceSpec) -> NDArray[np.float32]:
    """Features of the held-out split, (n_held_out, F)."""
    prepared = load(run.data)
    if isinstance(space, PixelSpace):
        return prepared.held_out
    return FeatureSet(store, features_id(run, space, prepared)).held_out()


@functools.lru_cache(maxsize=8)
def extractor_of(url: str, data: DataSpec, space: SpaceSpec, weights: str) -> Extractor:
    """A space's extractor, built once for all that a process does with it.

    ``url``: of the store that holds the weights of one fitted here; ``weights``: their hash.

    Raises
    ------
    UserError
        when a pretrained network's files, or the VAE's, are no longer those of that hash.
    """
    prepared = load(data)
    if isinstance(space, PretrainedSpace) and (found := weights_sha256(space, prepared.vae)) != weights:
        files = f"{weights_file(space)}" + (f" or {prepared.vae}" if prepared.vae else "")
        raise UserError(
            f"space {space.name}: {files} has changed: the SHA-256 was {weights[:12]}… when the run was made and is "
            f"{found[:12]}… now; start the study again, or put the old files back"
        )
    trained = WeightsBox(Store(url), space_recipe(space, prepared)).load() if isinstance(space, TrainedSpace) else None
    # The coordinates themselves are computed nowhere.
    return build(space, prepared, trained, CPU if isinstance(space, PixelSpace) else device_here())


def read_out_of(store: Store, run: Run, space: SpaceSpec) -> ReadOut | None:
    """What reads classes out of a space's features; None where nothing does."""
    if not space.has_semantics:
        return None
    if space.semantics == "prototypes":
        return _prototypes(store.url, run.data, space, features_id(run, space, load(run.data)))
    extractor = extractor_of(store.url, run.data, space, run.weights_of(space.name))
    return functools.partial(_read_out, extractor) if extractor.read_out is not None else None


def _read_out(extractor: Extractor, features: torch.Tensor) -> torch.Tensor:
    """Logits of features on the CPU, there."""
    assert extractor.read_out is not None
    with precision("float32", extractor.device):
        return extractor.read_out(features.to(extractor.device)).cpu()


@functools.lru_cache(maxsize=8)
def _prototypes(url: str, data: DataSpec, space: SpaceSpec, features: str) -> ReadOut:
    prepared = load(data)
    real = prepared.train if isinstance(space, PixelSpace) else FeatureSet(Store(url), features).train()
    return prototypes(real, prepared.train_labels, prepared.n_classes)


def endpoint_features(store: Store, run: Run, space: SpaceSpec, x: torch.Tensor) -> torch.Tensor:
    """Features (B, F) float32 of a batch of endpoints ``x`` (B, D)."""
    return extract(extractor_of(store.url, run.data, space, run.weights_of(space.name)), x)


def features_dim(store: Store, run: Run, space: SpaceSpec) -> int:
    """Number of features in a space."""
    prepared = load(run.data)
    if isinstance(space, PixelSpace):
        return prepared.dim
    return FeatureSet(store, features_id(run, space, prepared)).plan()["dim"]
