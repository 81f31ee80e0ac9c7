"""Task: train one network or classifier, unless its weights are in the store."""

from typing import Any

from prefect import task

from kpe_core.stages.train import classifier_weights, network_weights
from kpe_core.store.store import Store
from kpe_core.study.specs import DataSpec, MeasureSpec, NetworkField
from tasks.common import OPTIONS


@task(name="train", task_run_name="train the {label}", **OPTIONS)
def train(store: str, label: str, data: dict[str, Any], spec: dict[str, Any], kind: str) -> dict[str, Any]:
    """``kind`` is network or classifier; ``data`` and ``spec`` are the dumped specs. Returns the weights' hash."""
    where, dataset = Store(store), DataSpec.model_validate(data)
    if kind == "network":
        card = network_weights(where, dataset, NetworkField.model_validate(spec))
    else:
        card = classifier_weights(where, dataset, MeasureSpec.model_validate(spec))
    return {"recipe": card["recipe"], "sha256": card["sha256"], "seconds": card["seconds"]}
