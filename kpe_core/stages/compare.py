"""Stage: what shaping changes, sample by sample, against the plain run on the same noise."""

import numpy as np
import pyarrow as pa

from kpe_core.data.datasets import load
from kpe_core.measure.bootstrap import Interval, mean_interval, resample_counts, statistic_interval
from kpe_core.measure.fidelity import MANIFOLD_NEIGHBOURS, frechet, moments
from kpe_core.stages.tabulate import FRECHET_RESAMPLES, memorized, real_moments, stacked_features, table_path
from kpe_core.store.schema import COMPARISONS
from kpe_core.store.store import Store
from kpe_core.study.runs import Run
from kpe_core.threads import one_thread


def pairs(runs: list[Run]) -> list[tuple[Run, Run]]:
    """(run, baseline) for every shaped run whose plain twin is among ``runs``."""
    return [(run, base) for base in runs for run in runs if base.is_baseline_of(run)]


def comparison_path(run: Run, baseline: Run) -> str:
    return f"comparisons/{run.run_id}-{baseline.run_id}.parquet"


def compare(store: Store, run: Run, baseline: Run) -> str:
    """Paired differences of F_mem, kpe, score, margin and Fréchet distance, unless they are in the store."""
    path = comparison_path(run, baseline)
    if not store.exists(path):
        with one_thread():
            found = _differences(store, run, baseline)
        rows = [
            {"run": run.run_id, "baseline": baseline.run_id, "metric": metric, "n": run.n_samples}
            | {"delta": interval.value, "low": interval.low, "high": interval.high}
            for metric, interval in found.items()
        ]
        store.write_table(path, pa.Table.from_pylist(rows, schema=COMPARISONS))
    return path


def _differences(store: Store, run: Run, baseline: Run) -> dict[str, Interval]:
    ours, theirs = (store.read_table(table_path(r, "samples")) for r in (run, baseline))
    counts = resample_counts(run.n_samples, run.measure.bootstrap, run.seed)
    found = {
        "f_mem": mean_interval(memorized(run, ours) - memorized(baseline, theirs), counts),
        "kpe": mean_interval(ours["kpe"].to_numpy() - theirs["kpe"].to_numpy(), counts),
    }
    if run.measure.classifier is not None:
        for metric in ("score", "margin"):
            found[metric] = mean_interval(ours[metric].to_numpy() - theirs[metric].to_numpy(), counts)
    if run.measure.classifier is not None and run.n_samples > MANIFOLD_NEIGHBOURS:
        real = real_moments(store, run, load(run.data))
        a, b = (stacked_features(store.read_table(table_path(r, "features"))) for r in (run, baseline))

        def difference(weights: np.ndarray | None) -> float:
            return frechet(real, moments(a, weights)) - frechet(real, moments(b, weights))

        found["frechet"] = statistic_interval(difference, counts[:FRECHET_RESAMPLES])
    return found
