"""Stage: train what a study's runs need, once for ever."""

import time
from typing import Any

import numpy as np

from kpe_core.data.datasets import Prepared, load
from kpe_core.fields import training
from kpe_core.measure.classifier import SmallClassifier, semantics, train_classifier
from kpe_core.store.provenance import provenance
from kpe_core.store.store import Store
from kpe_core.store.weights import WeightsBox
from kpe_core.study.runs import classifier_recipe, weights_recipe
from kpe_core.study.specs import DataSpec, MeasureSpec, NetworkField
from kpe_core.threads import one_thread


def network_weights(store: Store, data: DataSpec, field: NetworkField) -> dict[str, Any]:
    """The card of a network's weights, trained now unless they are in the store; resumes from its last checkpoint."""
    prepared = load(data)
    box = WeightsBox(store, weights_recipe(field, prepared.fingerprint))
    if (card := box.card()) is not None:
        return card
    saved = box.load_checkpoint()
    resume = training.Progress(**saved) if saved is not None else None
    start = time.perf_counter()
    with one_thread():
        network, loss = training.train(
            field, prepared.points, prepared.point_labels, prepared.n_classes,
            resume=resume, checkpoint=lambda p: box.save_checkpoint(p._asdict()),
        )  # fmt: skip
    return box.save(
        network.state_dict(),
        {
            "kind": "network",
            "field": field.model_dump(mode="json"),
            "data": data.model_dump(mode="json"),
            "loss": loss,
            "resumed_at": resume.step if resume else 0,
            "seconds": time.perf_counter() - start,
            "provenance": provenance(),
        },
    )


def classifier_weights(store: Store, data: DataSpec, measure: MeasureSpec) -> dict[str, Any]:
    """The card of a classifier's weights, trained now on the whole train split unless they are in the store."""
    assert measure.classifier is not None
    prepared = load(data)
    box = WeightsBox(store, classifier_recipe(measure, prepared.split_fingerprint))
    if (card := box.card()) is not None:
        return card
    start = time.perf_counter()
    with one_thread():
        network = train_classifier(
            measure.classifier, prepared.train, prepared.train_labels, prepared.shape, prepared.n_classes
        )
        accuracy = held_out_accuracy(network, prepared)
    return box.save(
        network.state_dict(),
        {
            "kind": "classifier",
            "classifier": measure.classifier.model_dump(mode="json"),
            "data": data.model_dump(mode="json"),
            "held_out_accuracy": accuracy,
            "seconds": time.perf_counter() - start,
            "provenance": provenance(),
        },
    )


def held_out_accuracy(network: SmallClassifier, prepared: Prepared) -> float:
    predicted = semantics(network, prepared.held_out, None).predicted
    return float(np.mean(predicted == prepared.held_out_labels))
