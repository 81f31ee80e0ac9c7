"""Task: train one network, or fit one feature space, unless its weights are in the store."""

from typing import Any

from prefect import task
from prefect.logging import get_run_logger
from pydantic import TypeAdapter

from kpe_core.stages.train import network_weights, space_weights
from kpe_core.store.store import Store
from kpe_core.study.specs import ClassifierSpace, DataSpec, NetworkField, PcaSpace
from tasks.common import OPTIONS

NETWORK: TypeAdapter[NetworkField] = TypeAdapter(NetworkField)


@task(name="train", task_run_name="train the {label}", **OPTIONS)
def train(
    store: str, label: str, data: dict[str, Any], spec: dict[str, Any], kind: str, steps: list[int]
) -> dict[str, Any]:
    """``kind`` is network, classifier or pca; ``data`` and ``spec`` are the dumped specs; ``steps``: of a network, those
    to store its weights at. Returns the last weights' hash."""
    where, dataset = Store(store), DataSpec.model_validate(data)
    match kind:
        case "network":
            card = network_weights(where, dataset, NETWORK.validate_python(spec), steps)
        case "classifier":
            card = space_weights(where, dataset, ClassifierSpace.model_validate(spec))
        case _:
            card = space_weights(where, dataset, PcaSpace.model_validate(spec))
    get_run_logger().info("trained the %s in %.1f s", label, card["seconds"])
    return {"recipe": card["recipe"], "sha256": card["sha256"], "seconds": card["seconds"]}
