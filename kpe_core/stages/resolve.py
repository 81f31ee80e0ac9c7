"""Stage: a cell of a study becomes a run, once its data are loaded and its weights trained."""

import functools

import torch

from kpe_core.data.datasets import Prepared, load
from kpe_core.devices import CPU
from kpe_core.errors import UserError
from kpe_core.features.registry import weights_sha256
from kpe_core.fields.base import VelocityField
from kpe_core.fields.bridges import bridge
from kpe_core.fields.efm import ExactField
from kpe_core.fields.guidance import Guided
from kpe_core.fields.network import NetworkVelocity, restore
from kpe_core.fields.pretrained.field import pretrained_field
from kpe_core.fields.pretrained.layouts import weights_hash
from kpe_core.identity import digest
from kpe_core.stages.labels import class_numbers
from kpe_core.store.store import Store
from kpe_core.store.weights import WeightsBox
from kpe_core.study.runs import Cell, Run, space_recipe, training_recipe, weights_recipe
from kpe_core.study.specs import ClipSpace, NetworkField, PixelSpace, PretrainedField, SpaceSpec, TrainedSpace
from kpe_core.study.specs import ExactField as ExactSpec


def resolve(store: Store, cell: Cell) -> Run | None:
    """The cell's run; None while something it needs is not trained.

    Raises
    ------
    UserError
        when the cell asks of its data what they cannot give, or the files of pretrained weights are missing.
    """
    prepared = load(cell.data)
    weights = None
    if isinstance(cell.field, NetworkField):
        card = network_box(store, cell, prepared.fingerprint).card()
        if card is None:
            return None
        weights = card["sha256"]
    if isinstance(cell.field, PretrainedField):
        weights = weights_hash(cell.field)
    extractors = [_extractor_weights(store, space, prepared) for space in cell.measure.spaces]
    known = tuple(sha256 for sha256 in extractors if sha256 is not None)
    if len(known) < len(extractors):
        return None
    return Run(
        **{name: getattr(cell, name) for name in Cell.model_fields if name != "classes"},
        classes=class_numbers(cell.classes, prepared),
        fingerprint=prepared.fingerprint,
        weights=weights,
        extractors=known,
        prompts=digest(prepared.class_names) if any(isinstance(s, ClipSpace) for s in cell.measure.spaces) else "",
    )


def _extractor_weights(store: Store, space: SpaceSpec, prepared: Prepared) -> str | None:
    """SHA-256 of the weights behind a space; None while they are not trained."""
    if isinstance(space, PixelSpace):
        return ""
    if isinstance(space, TrainedSpace):
        card = WeightsBox(store, space_recipe(space, prepared)).card()
        return card["sha256"] if card is not None else None
    return weights_sha256(space, prepared.vae)


def network_box(store: Store, cell: Cell, fingerprint: str) -> WeightsBox:
    """Where the weights of the cell's network are, or will be."""
    assert isinstance(cell.field, NetworkField)
    assert cell.training_step is not None
    return WeightsBox(store, weights_recipe(training_recipe(cell.field, fingerprint), cell.training_step))


def field_of(store: Store, run: Run, prepared: Prepared, device: torch.device = CPU) -> VelocityField:
    """The run's velocity field, guidance included, ready to evaluate on ``device``."""
    field: VelocityField
    if isinstance(run.field, NetworkField):
        assert run.weights is not None
        recipe = network_box(store, run, run.fingerprint).recipe
        field = _network(store.url, recipe, run.weights, run.field, prepared.shape, prepared.n_classes, device)
    elif isinstance(run.field, PretrainedField):
        field = _pretrained(run, prepared, device)
    else:
        field = exact_field(run.field, prepared, device)
    return field if run.guidance == 1.0 else Guided(field, run.guidance)


@functools.lru_cache(maxsize=2)
def _network(
    url: str, recipe: str, sha256: str, spec: NetworkField, shape: tuple[int, ...], n_classes: int, device: torch.device
) -> NetworkVelocity:
    """A network on a device, its weights read once for all shards a process samples; ``sha256`` keeps others' apart.

    ``url``: of the store that holds them, under ``recipe``.
    """
    return NetworkVelocity(restore(spec, shape, n_classes, WeightsBox(Store(url), recipe).load()).to(device))


def _pretrained(run: Run, prepared: Prepared, device: torch.device) -> VelocityField:
    assert run.weights is not None
    assert isinstance(run.field, PretrainedField)
    try:
        return pretrained_field(run.field, prepared.shape, run.weights, device)
    except UserError as error:
        raise UserError(f"run {run.label}: {error}") from None


def exact_field(spec: ExactSpec, prepared: Prepared, device: torch.device = CPU) -> ExactField:
    """The exact field of the data's training points, which it holds on ``device``."""
    points = torch.from_numpy(prepared.points).to(device)
    labels = torch.from_numpy(prepared.point_labels).to(device) if spec.conditional else None
    return ExactField(points, labels, bridge(spec.bridge), getattr(torch, spec.dtype))
