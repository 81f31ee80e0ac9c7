"""Stage: hold a shard's endpoints against the real data: neighbours, densities, features, semantics."""

import functools
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from kpe_core.data import planar
from kpe_core.data.datasets import load
from kpe_core.features.registry import reads_data_classes
from kpe_core.features.semantics import semantics
from kpe_core.measure.density import Fitted, estimator_name, fit
from kpe_core.points.neighbours import Searchable, nearest
from kpe_core.stages.features import endpoint_features, features_id, read_out_of
from kpe_core.store.features import FeatureSet
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.runs import Run
from kpe_core.study.specs import DATA, DataSpec, DensitySpec, PixelSpace
from kpe_core.threads import one_thread

SECONDS = b"kpe.seconds"
"""In the metadata of a shard's measurements: how long they took."""


def measures_folder(run: Run) -> str:
    return f"runs/{run.run_id}/measures"


def measured(store: Store, run: Run) -> set[int]:
    """Shards whose measurements are in the store."""
    return {int(name.removesuffix(".parquet")) for name in store.list(measures_folder(run))}


def measuring_seconds(store: Store, run_id: str, shard: str) -> tuple[int, float] | None:
    """Samples of a measured shard, by its file's name, and the seconds they took; None where it does not tell."""
    with store.fs.open(store.path(f"runs/{run_id}/measures/{shard}"), "rb") as file:
        told = pq.read_metadata(file)
    seconds = (told.metadata or {}).get(SECONDS)
    return None if seconds is None else (told.num_rows, float(seconds))


def measure_shard(store: Store, run: Run, shard: int) -> dict[str, int]:
    """Measure one committed shard; one Parquet file with one row a sample. Does nothing when it is there.

    Batch by batch of the run, of which every shard holds whole ones: a matrix product's last bits depend on its rows.

    Raises
    ------
    StoreDamaged
        when the shard's marker is there, but its endpoints are not, as in a copy taken while the study was being run.
    """
    trajectories = Trajectories(store, run.trajectories_id)
    start, stop = trajectories.plan().rows(shard)
    if shard not in measured(store, run):
        started = time.perf_counter()
        x = trajectories.endpoints(slice(start, stop))
        if not np.isfinite(x).all():  # of which sampling commits none
            raise trajectories.damaged(f"the endpoints of samples {start}–{stop - 1} are not those that were committed")
        label = np.asarray(trajectories.group()["label"][start:stop]) if run.conditional else None  # type: ignore[index]
        batches = [slice(i, i + run.batch) for i in range(0, stop - start, run.batch)]
        with one_thread():
            tables = [measure(store, run, x[b], None if label is None else label[b], start + b.start) for b in batches]
        table = pa.concat_tables(tables).replace_schema_metadata({SECONDS: repr(time.perf_counter() - started)})
        store.write_table(f"{measures_folder(run)}/{shard:05d}.parquet", table)
    return {"shard": shard, "samples": stop - start}


def measure(store: Store, run: Run, x: np.ndarray, label: np.ndarray | None, start: int) -> pa.Table:
    """Neighbours, features, semantics and densities of one batch of endpoints.

    ``x`` (B, D) float32 are the endpoints, ``label`` (B,) their classes, and ``start`` the sample index of the first.
    """
    prepared = load(run.data)
    here = torch.from_numpy(x)
    near = nearest(here, training_points(run.data), 2)
    columns: dict[str, object] = {
        "sample": np.arange(start, start + len(x)),
        "norm": np.linalg.norm(x.astype(np.float64), axis=1),
        "d1": near.distance[:, 0].numpy(),
        "d2": near.distance[:, 1].numpy(),
        "nearest": near.index[:, 0].numpy(),
        "nearest_label": prepared.point_labels[near.index[:, 0].numpy()],
    }
    seen = {DATA: here}
    for i, space in enumerate(run.measure.spaces):
        features = seen[space.name] = endpoint_features(store, run, space, here)
        if not isinstance(space, PixelSpace):
            columns[f"features_{i}"] = list(features.numpy())
        if (read_out := read_out_of(store, run, space)) is not None:
            with torch.inference_mode():
                s = semantics(read_out(features), label if reads_data_classes(space, prepared) else None)
            columns |= {f"score_{i}": s.score, f"margin_{i}": s.margin, f"predicted_{i}": s.predicted}
    for i, spec in enumerate(run.measure.densities):
        density = _density(store, run, spec)
        columns[f"density_{i}"] = density.log_density(seen[spec.space]).numpy()
        columns[f"parameter_{i}"] = np.full(len(x), density.parameter)
    return pa.table(columns)


@functools.lru_cache(maxsize=2)
def training_points(data: DataSpec) -> Searchable:
    """What the field sees, to be searched for every batch a process measures."""
    return Searchable(torch.from_numpy(load(data).points))


def _density(store: Store, run: Run, spec: DensitySpec) -> Fitted:
    if spec.space == DATA:
        return density_of(run.data, spec)
    prepared = load(run.data)
    return feature_density(
        store.url, features_id(run, run.measure.space(spec.space), prepared), prepared.n_points, spec
    )


@functools.lru_cache(maxsize=32)
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


@functools.lru_cache(maxsize=32)
def feature_density(url: str, features: str, n_points: int, spec: DensitySpec) -> Fitted:
    """The same on the stored features (in the store at ``url``, of that id) of the first ``n_points`` training points."""
    return fit(torch.from_numpy(FeatureSet(Store(url), features).train(n_points)), spec)


def density_columns(run: Run) -> list[tuple[str, str]]:
    """(space, estimator) of the ``density_i`` columns, in order."""
    return [(spec.space, estimator_name(spec)) for spec in run.measure.densities]
