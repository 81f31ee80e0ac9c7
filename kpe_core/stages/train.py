"""Stage: train what a study's runs need, once for ever."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from kpe_core.data.datasets import Prepared, load
from kpe_core.devices import device_here, device_name
from kpe_core.features.classifier import train_classifier
from kpe_core.features.pca import fit_pca
from kpe_core.fields import training
from kpe_core.precision import precision
from kpe_core.store.provenance import provenance
from kpe_core.store.store import Store
from kpe_core.store.weights import WeightsBox
from kpe_core.study.runs import space_recipe, training_recipe, weights_recipe
from kpe_core.study.specs import ClassifierSpace, DataSpec, NetworkField, TrainedSpace
from kpe_core.threads import one_thread


def network_weights(store: Store, data: DataSpec, field: NetworkField, steps: Sequence[int] = ()) -> dict[str, Any]:
    """Train a network, and store its weights after each of ``steps`` (none: the last). Returns the last one's card.

    Does nothing when all are in the store. A training that was stopped keeps the weights it has stored, and goes on from
    the state it saved last.
    """
    prepared = load(data)
    recipe, due = training_recipe(field, prepared.fingerprint), sorted(steps) or [field.steps]
    boxes = {step: WeightsBox(store, weights_recipe(recipe, step)) for step in due}
    missing = {step: box for step, box in boxes.items() if box.card() is None}
    if missing:
        _train_network(data, field, prepared, missing)
    card = boxes[due[-1]].card()
    assert card is not None
    return card


def _train_network(data: DataSpec, field: NetworkField, prepared: Prepared, missing: dict[int, WeightsBox]) -> None:
    """``missing``: by step, where the weights have to go."""
    last = max(missing)
    saved = missing[last].load_checkpoint()
    resume = training.Progress(**saved) if saved is not None else None
    if resume is not None and resume.step > min(missing):
        resume = None
    start, device = time.perf_counter(), device_here()

    def keep(learned: training.Trained) -> None:
        missing[learned.step].save(
            learned.weights,
            {
                "kind": "network",
                "field": field.model_dump(mode="json", exclude={"checkpoints"}),
                "training_step": learned.step,
                "data": data.model_dump(mode="json"),
                "loss": learned.loss,
                "curve": learned.curve,
                "resumed_at": resume.step if resume else 0,
                "seconds": time.perf_counter() - start,
                "device": device_name(device),
                "provenance": provenance(),
            },
        )

    with one_thread(), precision("float32", device):
        training.train(
            field, prepared.points, prepared.point_labels, prepared.n_classes, prepared.shape,
            until=last, resume=resume, save=lambda p: missing[last].save_checkpoint(p._asdict()),
            at=missing, keep=keep, device=str(device),
        )  # fmt: skip


def space_weights(store: Store, data: DataSpec, space: TrainedSpace) -> dict[str, Any]:
    """The card of what a space is fitted on the data, now unless it is in the store."""
    prepared = load(data)
    box = WeightsBox(store, space_recipe(space, prepared))
    if (card := box.card()) is not None:
        return card
    start = time.perf_counter()
    told: dict[str, Any] = {}
    with one_thread():
        if isinstance(space, ClassifierSpace):
            network = train_classifier(space, prepared.train, prepared.train_labels, prepared.shape, prepared.n_classes)
            with torch.inference_mode():
                said = network(torch.from_numpy(prepared.held_out)).argmax(dim=1).numpy()
            told["held_out_accuracy"] = float(np.mean(said == prepared.held_out_labels))
            tensors = network.state_dict()
        else:
            tensors = fit_pca(prepared.points, space.components)
    card = {
        "kind": space.extractor,
        "space": space.model_dump(mode="json"),
        "data": data.model_dump(mode="json"),
        **told,
    }
    return box.save(tensors, {**card, "seconds": time.perf_counter() - start, "provenance": provenance()})
