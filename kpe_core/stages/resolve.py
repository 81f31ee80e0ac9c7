"""Stage: a cell of a study becomes a run, once its data are loaded and its weights trained."""

import torch

from kpe_core.data.datasets import Prepared, load
from kpe_core.errors import UserError
from kpe_core.fields.base import VelocityField
from kpe_core.fields.bridges import bridge
from kpe_core.fields.efm import ExactField
from kpe_core.fields.guidance import Guided
from kpe_core.fields.network import NetworkVelocity, restore
from kpe_core.fields.pretrained.field import pretrained_field
from kpe_core.fields.pretrained.layouts import weights_hash
from kpe_core.measure.classifier import SmallClassifier
from kpe_core.stages.labels import class_numbers
from kpe_core.store.store import Store
from kpe_core.store.weights import WeightsBox
from kpe_core.study.runs import Cell, Run, classifier_recipe, training_recipe, weights_recipe
from kpe_core.study.specs import ExactField as ExactSpec
from kpe_core.study.specs import NetworkField, PretrainedField


def resolve(store: Store, cell: Cell) -> Run | None:
    """The cell's run; None while something it needs is not trained.

    Raises
    ------
    UserError
        when the cell asks of its data what they cannot give, or a pretrained model's files are missing.
    """
    prepared = load(cell.data)
    weights = classifier = None
    if isinstance(cell.field, NetworkField):
        card = network_box(store, cell, prepared.fingerprint).card()
        if card is None:
            return None
        weights = card["sha256"]
    if isinstance(cell.field, PretrainedField):
        weights = weights_hash(cell.field)
    if cell.measure.classifier is not None:
        card = WeightsBox(store, classifier_recipe(cell.measure, prepared.split_fingerprint)).card()
        if card is None:
            return None
        classifier = card["sha256"]
    return Run(
        **{name: getattr(cell, name) for name in Cell.model_fields if name != "classes"},
        classes=class_numbers(cell.classes, prepared),
        fingerprint=prepared.fingerprint,
        weights=weights,
        classifier=classifier,
    )


def network_box(store: Store, cell: Cell, fingerprint: str) -> WeightsBox:
    """Where the weights of the cell's network are, or will be."""
    assert isinstance(cell.field, NetworkField)
    assert cell.training_step is not None
    return WeightsBox(store, weights_recipe(training_recipe(cell.field, fingerprint), cell.training_step))


def field_of(store: Store, run: Run, prepared: Prepared) -> VelocityField:
    """The run's velocity field, guidance included, ready to evaluate."""
    field: VelocityField
    if isinstance(run.field, NetworkField):
        weights = network_box(store, run, run.fingerprint).load()
        field = NetworkVelocity(restore(run.field, prepared.shape, prepared.n_classes, weights))
    elif isinstance(run.field, PretrainedField):
        field = _pretrained(run, prepared)
    else:
        field = exact_field(run.field, prepared)
    return field if run.guidance == 1.0 else Guided(field, run.guidance)


def _pretrained(run: Run, prepared: Prepared) -> VelocityField:
    assert run.weights is not None
    assert isinstance(run.field, PretrainedField)
    try:
        return pretrained_field(run.field, prepared.shape, run.weights)
    except UserError as error:
        raise UserError(f"run {run.label}: {error}") from None


def exact_field(spec: ExactSpec, prepared: Prepared) -> ExactField:
    """The exact field of the data's training points."""
    points = torch.from_numpy(prepared.points)
    labels = torch.from_numpy(prepared.point_labels) if spec.conditional else None
    return ExactField(points, labels, bridge(spec.bridge), getattr(torch, spec.dtype))


def classifier_of(store: Store, run: Run, prepared: Prepared) -> SmallClassifier | None:
    """The run's classifier; None without semantics."""
    spec = run.measure.classifier
    if spec is None:
        return None
    network = SmallClassifier(prepared.shape, prepared.n_classes, spec.features)
    network.load_state_dict(WeightsBox(store, classifier_recipe(run.measure, prepared.split_fingerprint)).load())
    return network.eval()
