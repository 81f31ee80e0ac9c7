"""A finished run of any size without sampling it: random numbers written through the store's own code."""

import numpy as np
import pyarrow as pa

from kpe_core.stages.manifest import finalise, register, remember
from kpe_core.store.schema import SAMPLES
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories, regions
from kpe_core.study.load import load_study
from kpe_core.study.runs import Run, cells


def write_run(
    store: Store, folder: str, n_samples: int, nfe: int, dim: int, batch: int = 64, keep: str = "all", seed: int = 0
) -> Run:
    """A finalised run of ``n_samples`` × (nfe + 1) states × ``dim`` uniform float32, with a samples table."""
    text = (
        f"name: synthetic{seed}\nexperiments:\n  - name: noise{seed}\n    data: {{name: sandwich}}\n"
        f"    fields: {{kind: exact}}\n    sampling: {{n_samples: {n_samples}, nfe: {nfe}, batch: {batch}, "
        f"seed: {seed}, states: {{keep: {keep}}}}}\n"
    )
    path = f"{folder}/synthetic{seed}.yaml"
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    study = load_study(path)
    (cell,) = cells(study)
    run = Run(**cell.model_dump(), fingerprint="synthetic", weights=None, extractors=())
    register(store, run)
    trajectories = Trajectories(store, run.trajectories_id)
    plan = trajectories.create(run, (dim,), np.zeros(n_samples, np.int64), exact=False, shard_size=batch)
    rng = np.random.default_rng(seed)
    if keep != "none":
        x = trajectories.group("r+")["x"]
        for shard in range(plan.n_shards):
            for region in regions(x, plan.rows(shard), batch):  # type: ignore[arg-type]
                size = (*(s.stop - s.start for s in region), dim)
                x[region] = rng.random(size, dtype=np.float32)  # type: ignore[index]
    for shard in range(plan.n_shards):
        trajectories.commit(shard, {"evaluations": 0, "seconds": 0.0})
    columns = {f.name: rng.random(n_samples) if pa.types.is_floating(f.type) else None for f in SAMPLES}
    columns |= {"run": [run.run_id] * n_samples, "sample": np.arange(n_samples)}
    zero = [0] * n_samples
    arrays = [pa.array(zero if columns[f.name] is None else columns[f.name], f.type) for f in SAMPLES]
    store.write_table(f"runs/{run.run_id}/tables/samples.parquet", pa.Table.from_arrays(arrays, schema=SAMPLES))
    finalise(store, run, study.name)
    remember(store, study, [run])
    return run
