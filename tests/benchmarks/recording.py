"""A recorder on a fresh store, for fields that no study names."""

from pathlib import Path

import numpy as np

from kpe_core.stages.sample import Recorder
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.runs import Run, cells
from kpe_core.study.specs import Study

DIM = 3072


def recorder(folder: Path, n_samples: int, steps: int, batch: int = 125) -> Recorder:
    """Of ``n_samples`` trajectories in 3072 dimensions, every state kept."""
    experiment = {
        "name": "bench",
        "data": {"name": "digits"},
        "fields": {"kind": "mlp"},
        "sampling": {"n_samples": n_samples, "nfe": steps, "batch": batch},
    }
    cell = next(iter(cells(Study.model_validate({"name": "bench", "experiments": [experiment]}))))
    values = {name: getattr(cell, name) for name in type(cell).model_fields}
    run = Run(**values, fingerprint="0", weights="0", extractors=())
    trajectories = Trajectories(Store.create_or_open(str(folder)), run.trajectories_id)
    trajectories.create(run, (DIM,), np.full(n_samples, -1), exact=False, shard_size=n_samples)
    return Recorder(trajectories.group("r+"), run)
