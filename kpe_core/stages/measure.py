"""Stage: hold a shard's endpoints against the training points and the classifier."""

import functools

import numpy as np
import pyarrow as pa
import torch

from kpe_core.data import planar
from kpe_core.data.datasets import Prepared, load
from kpe_core.measure.classifier import SmallClassifier, semantics
from kpe_core.measure.density import Fitted, estimator_name, fit
from kpe_core.points.neighbours import nearest
from kpe_core.stages.resolve import classifier_of
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.runs import Run
from kpe_core.study.specs import DataSpec, DensitySpec
from kpe_core.threads import one_thread


def measures_folder(run: Run) -> str:
    return f"runs/{run.run_id}/measures"


def measured(store: Store, run: Run) -> set[int]:
    """Shards whose measurements are in the store."""
    return {int(name.removesuffix(".parquet")) for name in store.list(measures_folder(run))}


def measure_shard(store: Store, run: Run, shard: int) -> dict[str, int]:
    """Measure one committed shard; one Parquet file with one row a sample. Does nothing when it is there."""
    trajectories = Trajectories(store, run.trajectories_id)
    start, stop = trajectories.plan().rows(shard)
    if shard not in measured(store, run):
        group = trajectories.group()
        x = np.asarray(group["x1"][start:stop]).reshape(stop - start, -1)  # type: ignore[index]
        label = np.asarray(group["label"][start:stop]) if run.conditional else None  # type: ignore[index]
        prepared = load(run.data)
        with one_thread():
            table = measure(run, prepared, classifier_of(store, run, prepared), x, label, start)
        store.write_table(f"{measures_folder(run)}/{shard:05d}.parquet", table)
    return {"shard": shard, "samples": stop - start}


def measure(
    run: Run,
    prepared: Prepared,
    classifier: SmallClassifier | None,
    x: np.ndarray,
    label: np.ndarray | None,
    start: int,
) -> pa.Table:
    """Neighbours, densities and semantics of endpoints ``x`` (B, D) float32 whose first has index ``start``."""
    points, here = torch.from_numpy(prepared.points), torch.from_numpy(x)
    near = nearest(here, points, 2)
    columns: dict[str, object] = {
        "sample": np.arange(start, start + len(x)),
        "norm": np.linalg.norm(x.astype(np.float64), axis=1),
        "d1": near.distance[:, 0].numpy(),
        "d2": near.distance[:, 1].numpy(),
        "nearest": near.index[:, 0].numpy(),
        "nearest_label": prepared.point_labels[near.index[:, 0].numpy()],
    }
    features = point_features = None
    if classifier is not None:
        s = semantics(classifier, x, label)
        columns |= {"score": s.score, "margin": s.margin, "predicted": s.predicted, "features": list(s.features)}
        features = torch.from_numpy(s.features)
        point_features = torch.from_numpy(semantics(classifier, prepared.points, None).features)
    for i, spec in enumerate(run.measure.densities):
        if spec.space == "features":
            assert features is not None
            assert point_features is not None
            density, at = fit(point_features, spec), features
        else:
            density, at = density_of(run.data, spec), here
        columns[f"density_{i}"] = density.log_density(at).numpy()
        columns[f"parameter_{i}"] = np.full(len(x), density.parameter)
    return pa.table(columns)


@functools.lru_cache(maxsize=4)
def density_of(data: DataSpec, spec: DensitySpec) -> Fitted:
    """The estimator on the training points as the field sees them, fitted once for all shards a process measures.

    Raises
    ------
    UserError
        when these points do not let it.
    """
    prepared = load(data)

    def truth(x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(planar.true_prepared_log_density(prepared.name, prepared.affine, x.numpy()))

    return fit(torch.from_numpy(prepared.points), spec, truth if prepared.name in planar.SETS else None)


def density_columns(run: Run) -> list[tuple[str, str]]:
    """(space, estimator) of the ``density_i`` columns, in order."""
    return [(spec.space, estimator_name(spec)) for spec in run.measure.densities]
