"""Stage: what shaping changes, sample by sample, against the plain run on the same noise."""

import pyarrow as pa
import pyarrow.compute as pc

from kpe_core.measure.bootstrap import Floats, Interval, Resamples, mean_intervals
from kpe_core.measure.fidelity import fidelity_differences
from kpe_core.stages.features import real_features
from kpe_core.stages.scores import memorized, tabulated_features
from kpe_core.stages.tabulate import table_path
from kpe_core.store.schema import COMPARISONS
from kpe_core.store.store import Store
from kpe_core.study.runs import Run
from kpe_core.study.specs import SpaceSpec
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
            {"run": run.run_id, "baseline": baseline.run_id, "metric": metric, "space": space, "n": run.n_samples}
            | {"delta": interval.value, "low": interval.low, "high": interval.high}
            for (metric, space), interval in found.items()
        ]
        store.write_table(path, pa.Table.from_pylist(rows, schema=COMPARISONS))
    return path


def _differences(store: Store, run: Run, baseline: Run) -> dict[tuple[str, str | None], Interval]:
    """By metric and space."""
    ours, theirs = (store.read_table(table_path(r, "samples")) for r in (run, baseline))
    resamples = Resamples(run.n_samples, run.measure.bootstrap, run.seed)
    differences: dict[str, Floats] = {
        "f_mem": memorized(run, ours) - memorized(baseline, theirs),
        "kpe": ours["kpe"].to_numpy() - theirs["kpe"].to_numpy(),
    }
    found: dict[tuple[str, str | None], Interval] = {
        (metric, None): interval for metric, interval in mean_intervals(differences, resamples).items()
    }
    for space in run.measure.spaces:
        read = _semantic_differences(store, run, baseline, space) if space.has_semantics else {}
        here = mean_intervals(read, resamples) if read else {}
        a, b = (tabulated_features(store, r, space, table_path(r, "features")) for r in (run, baseline))
        here |= fidelity_differences(real_features(store, run, space), a, b)
        found |= {(metric, space.name): interval for metric, interval in here.items()}
    return found


def _semantic_differences(store: Store, run: Run, baseline: Run, space: SpaceSpec) -> dict[str, Floats]:
    ours, theirs = (store.read_table(table_path(r, "semantics")) for r in (run, baseline))
    a, b = (t.filter(pc.equal(t["space"], space.name)) for t in (ours, theirs))
    return {metric: a[metric].to_numpy() - b[metric].to_numpy() for metric in ("score", "margin")}
