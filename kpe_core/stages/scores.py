"""Part of tabulating: a run's scores table, metrics of the whole run with their intervals."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from kpe_core.data.datasets import load
from kpe_core.features.registry import reads_data_classes
from kpe_core.features.semantics import semantics
from kpe_core.measure.bootstrap import Interval, Resamples, mean_intervals
from kpe_core.measure.fidelity import fidelity
from kpe_core.measure.frechet import Features
from kpe_core.stages.features import held_out_features, read_out_of, real_features
from kpe_core.stages.probe import PROBED, probe_scores, probe_size
from kpe_core.stages.theory import growth_scores, shows_growth
from kpe_core.store.schema import SCORES
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.runs import Run
from kpe_core.study.specs import PixelSpace, SpaceSpec


def scores_table(store: Store, run: Run, measured: pa.Table) -> pa.Table:
    """Of the whole run, then of each of its spaces; ``measured`` holds the measurements of all shards."""
    n = measured.num_rows
    resamples = Resamples(n, run.measure.bootstrap, run.seed)
    kpe = np.asarray(Trajectories(store, run.trajectories_id).group()["kpe"][:])  # type: ignore[index]
    found = mean_intervals({"f_mem": memorized(run, measured), "kpe": kpe}, resamples)
    found |= probe_scores(store, run, load(run.data), kpe)
    if shows_growth(run):
        found |= growth_scores(store, run, resamples)
    rows = [_row(run, metric, None, i, probe_size(run) if metric in PROBED else n) for metric, i in found.items()]
    for place, space in enumerate(run.measure.spaces):
        of_space = _space_scores(store, run, place, space, measured, resamples)
        rows += [_row(run, metric, space.name, i, n) for metric, i in of_space.items()]
    return pa.Table.from_pylist(rows, schema=SCORES)


def _space_scores(
    store: Store, run: Run, place: int, space: SpaceSpec, measured: pa.Table, resamples: Resamples
) -> dict[str, Interval]:
    """Semantics and fidelity in one space, the ``place``-th."""
    found: dict[str, Interval] = {}
    if space.has_semantics:
        means = {name: measured[f"{name}_{place}"].to_numpy() for name in ("score", "margin")}
        if reads_data_classes(space, load(run.data)):
            found["accuracy"] = Interval(held_out_accuracy(store, run, space), np.nan, np.nan)
            if run.conditional:
                label = np.asarray(Trajectories(store, run.trajectories_id).group()["label"][:])  # type: ignore[index]
                means["agreement"] = (measured[f"predicted_{place}"].to_numpy() == label).astype(np.float64)
        found |= mean_intervals(means, resamples)
    ours = _endpoints(store, run) if isinstance(space, PixelSpace) else stacked(measured[f"features_{place}"])
    return found | fidelity(real_features(store, run, space), ours, resamples)


def _row(run: Run, metric: str, space: str | None, found: Interval, n: int) -> dict[str, object]:
    low, high = (None if np.isnan(end) else end for end in (found.low, found.high))
    return {"run": run.run_id, "metric": metric, "space": space, "value": found.value, "low": low, "high": high, "n": n}


def held_out_accuracy(store: Store, run: Run, space: SpaceSpec) -> float:
    """Share of held-out real images whose class is read rightly in a space."""
    read_out = read_out_of(store, run, space)
    assert read_out is not None
    with torch.inference_mode():
        said = semantics(read_out(torch.from_numpy(held_out_features(store, run, space))), None)
    return float(np.mean(said.predicted == load(run.data).held_out_labels))


def memorized(run: Run, samples: pa.Table) -> np.ndarray:
    """1.0 where d₁/d₂ is below the run's threshold, else 0.0. A point with two exact copies counts as memorized."""
    d1, d2 = samples["d1"].to_numpy(), samples["d2"].to_numpy()
    return np.asarray((d1 < run.measure.memorized_below * d2) | (d2 == 0), dtype=np.float64)


def stacked(column: pa.ChunkedArray) -> Features:
    """(n, F) float32 from a list column of features."""
    whole = column.combine_chunks()
    return np.asarray(whole.flatten(), dtype=np.float32).reshape(len(whole), -1)


def tabulated_features(store: Store, run: Run, space: SpaceSpec, path: str) -> Features:
    """Features of every sample in one space, (n, F), from the features table at ``path``."""
    if isinstance(space, PixelSpace):
        return _endpoints(store, run)
    table = store.read_table(path)
    return stacked(table.filter(pc.equal(table["space"], space.name))["features"])


def _endpoints(store: Store, run: Run) -> Features:
    """x(1) of every sample, flat, (n, D) float32."""
    return Trajectories(store, run.trajectories_id).endpoints(slice(None))
