"""A small real run in a store of its own, to be judged whole or spoiled."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from kpe_core.stages.features import compute_all
from kpe_core.stages.manifest import register
from kpe_core.stages.measure import measure_shard
from kpe_core.stages.resolve import resolve
from kpe_core.stages.sample import create_trajectories, sample_shard
from kpe_core.stages.tabulate import table_path, tabulate
from kpe_core.stages.train import network_weights, space_weights
from kpe_core.store.store import Store
from kpe_core.study.runs import Run, cells
from kpe_core.study.specs import NetworkField, Study

NETWORK = {"kind": "mlp", "width": 8, "depth": 1, "steps": 5}


def make_run(store: Store, name: str, **choices: Any) -> Run:
    """Sample, measure and tabulate one run: 50 samples in two shards, ten steps, unless told otherwise."""
    sampling = {"n_samples": 50, "nfe": 10, "batch": 25} | choices.pop("sampling", {})
    experiment = {"name": name, "data": {"name": "dense_sparse"}, "fields": {"kind": "exact"}, "sampling": sampling}
    study = Study.model_validate({"name": "test", "experiments": [experiment | choices]})
    (cell,) = cells(study)
    if isinstance(cell.field, NetworkField):
        network_weights(store, cell.data, cell.field)
    for space in cell.measure.spaces:
        space_weights(store, cell.data, space)
    run = resolve(store, cell)
    assert run is not None
    register(store, run)
    compute_all(store, run)
    plan = create_trajectories(store, run, 25)
    for shard in range(plan.n_shards):
        sample_shard(store, run, shard)
        measure_shard(store, run, shard)
    tabulate(store, run)
    return run


@dataclass(frozen=True)
class Bench:
    """A store with one unjudged run."""

    store: Store
    run: Run

    def table(self, name: str) -> pa.Table:
        return self.store.read_table(table_path(self.run, name))

    def change(self, name: str, edit: Callable[[Any], Any]) -> None:
        """Rewrite a table through ``edit``, which takes and returns a pandas frame."""
        table = self.table(name)
        frame = edit(table.to_pandas())
        columns = [pa.array(frame[f.name], f.type, from_pandas=f.nullable) for f in table.schema]
        self.store.write_table(table_path(self.run, name), pa.Table.from_arrays(columns, schema=table.schema))

    def checks(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {(row["suite"], row["expectation"]): row for row in self.table("checks").to_pylist()}
