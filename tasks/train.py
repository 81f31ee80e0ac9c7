"""Task: train one network or classifier, unless its weights are in the store."""

from typing import Any

from prefect import task
from pydantic import TypeAdapter

from kpe_core.stages.train import classifier_weights, network_weights
from kpe_core.store.store import Store
from kpe_core.study.specs import DataSpec, MeasureSpec, NetworkField
from tasks.common import OPTIONS

NETWORK: TypeAdapter[NetworkField] = TypeAdapter(NetworkField)


@task(name="train", task_run_name="train the {label}", **OPTIONS)
def train(
    store: str, label: str, data: dict[str, Any], spec: dict[str, Any], kind: str, steps: list[int]
) -> dict[str, Any]:
    """``kind`` is network or classifier; ``data`` and ``spec`` are the dumped specs; ``steps``: of a network, those to
    store its weights at. Returns the last weights' hash."""
    where, dataset = Store(store), DataSpec.model_validate(data)
    if kind == "network":
        card = network_weights(where, dataset, NETWORK.validate_python(spec), steps)
    else:
        card = classifier_weights(where, dataset, MeasureSpec.model_validate(spec))
    return {"recipe": card["recipe"], "sha256": card["sha256"], "seconds": card["seconds"]}
