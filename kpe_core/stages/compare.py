"""Stage: what shaping changes, sample by sample, against the plain run on the same noise."""

import pyarrow as pa

from kpe_core.data.datasets import load
from kpe_core.measure.bootstrap import Floats, Interval, Resamples, mean_intervals
from kpe_core.measure.fidelity import fidelity_differences
from kpe_core.stages.tabulate import memorized, real_features, stacked_features, table_path
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
    """Paired differences of F_mem, kpe, score, margin, Fréchet and kernel distance, unless they are in the store."""
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
    resamples = Resamples(run.n_samples, run.measure.bootstrap, run.seed)
    differences: dict[str, Floats] = {"f_mem": memorized(run, ours) - memorized(baseline, theirs)}
    for metric in ("kpe", "score", "margin") if run.measure.classifier is not None else ("kpe",):
        differences[metric] = ours[metric].to_numpy() - theirs[metric].to_numpy()
    found = mean_intervals(differences, resamples)
    if run.measure.classifier is not None:
        real = real_features(store, run, load(run.data))
        a, b = (stacked_features(store.read_table(table_path(r, "features"))) for r in (run, baseline))
        found |= fidelity_differences(real, a, b, resamples)
    return found
