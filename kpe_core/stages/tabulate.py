"""Stage: a run's Parquet tables, from its trajectories and measurements."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kpe_core.data.datasets import Prepared, load
from kpe_core.measure.bootstrap import Interval, Resamples, mean_intervals
from kpe_core.measure.classifier import semantics
from kpe_core.measure.fidelity import fidelity
from kpe_core.measure.frechet import Features
from kpe_core.stages.measure import density_columns, measures_folder
from kpe_core.stages.probe import PROBED, probe_scores, probe_size
from kpe_core.stages.resolve import classifier_of
from kpe_core.stages.theory import growth_scores, is_exact, shows_growth, theory_columns
from kpe_core.stages.train import held_out_accuracy
from kpe_core.store.schema import DENSITIES, FEATURES, SAMPLES, SCORES, STEPS, THEORY
from kpe_core.store.store import Store
from kpe_core.store.trajectories import PER_EXACT_STEP, PER_SAMPLE, Trajectories
from kpe_core.study.runs import Run
from kpe_core.threads import one_thread


def table_path(run: Run, name: str) -> str:
    return f"runs/{run.run_id}/tables/{name}.parquet"


def tabulate(store: Store, run: Run) -> dict[str, int]:
    """Write the run's samples, densities, features, steps and scores; returns their row counts."""
    with one_thread():
        measured = _read_measures(store, run)
        samples = _samples(store, run, measured)
        tables = {"samples": samples, "densities": _densities(run, measured), "scores": _scores(store, run, measured)}
    if is_exact(run):
        tables["theory"] = _with_run(run, theory_columns(store, run, load(run.data)), THEORY)
    if "features" in measured.column_names:
        tables["features"] = _with_run(run, measured.select(["sample", "features"]), FEATURES)
    counts = {name: table.num_rows for name, table in tables.items()}
    for name, table in tables.items():
        store.write_table(table_path(run, name), table)
    counts["steps"] = _write_steps(store, run)
    return counts


def _read_measures(store: Store, run: Run) -> pa.Table:
    names = store.list(measures_folder(run))
    return pa.concat_tables([store.read_table(f"{measures_folder(run)}/{name}") for name in names])


def _with_run(run: Run, table: pa.Table, schema: pa.Schema) -> pa.Table:
    """``table`` with the run's id, in the schema's order, absent nullable columns as NULL."""
    columns = []
    for field in schema:
        if field.name == "run":
            columns.append(pa.array([run.run_id] * table.num_rows))
        elif field.name in table.column_names:
            columns.append(table.column(field.name).combine_chunks().cast(field.type))
        else:
            columns.append(pa.nulls(table.num_rows, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _samples(store: Store, run: Run, measured: pa.Table) -> pa.Table:
    group = Trajectories(store, run.trajectories_id).group()
    for name in PER_SAMPLE:
        measured = measured.append_column(name, pa.array(np.asarray(group[name][:])))  # type: ignore[index]
    if run.conditional:
        measured = measured.append_column("label", pa.array(np.asarray(group["label"][:])))  # type: ignore[index]
    return _with_run(run, measured, SAMPLES)


def _densities(run: Run, measured: pa.Table) -> pa.Table:
    parts = [
        pa.table({
            "sample": measured["sample"],
            "space": pa.array([space] * measured.num_rows),
            "estimator": pa.array([estimator] * measured.num_rows),
            "log_density": measured[f"density_{i}"],
            "parameter": measured[f"parameter_{i}"],
        })
        for i, (space, estimator) in enumerate(density_columns(run))
    ]  # fmt: skip
    if not parts:
        return DENSITIES.empty_table()
    return _with_run(run, pa.concat_tables(parts), DENSITIES)


def _write_steps(store: Store, run: Run) -> int:
    """Steps batch by batch, so that memory does not grow with the run."""
    group = Trajectories(store, run.trajectories_id).group()
    t, dt, eta = (np.asarray(group[name][:]) for name in ("t_step", "dt", "eta"))  # type: ignore[index]
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, STEPS, compression="zstd") as writer:
        for start in range(0, run.n_samples, run.batch):
            stop = min(run.n_samples, start + run.batch)
            power, energy = (np.asarray(group[name][start:stop]) for name in ("power", "energy"))  # type: ignore[index]
            n = stop - start
            columns = {
                "sample": np.repeat(np.arange(start, stop), run.steps),
                "step": np.tile(np.arange(run.steps), n),
                "t": np.tile(t, n),
                "dt": np.tile(dt, n),
                "eta": np.tile(eta, n),
                "power": power.ravel(),
                "energy": energy.ravel(),
                "cumulative_kpe": np.cumsum(energy, axis=1).ravel(),
            }
            for name in PER_EXACT_STEP:
                if name in group:
                    columns[name] = np.asarray(group[name][start:stop]).ravel()  # type: ignore[index]
            writer.write_table(_with_run(run, pa.table(columns), STEPS))
    store.write(table_path(run, "steps"), sink.getvalue())
    return run.n_samples * run.steps


# -- scores ----------------------------------------------------------------------------------------------------------


def _scores(store: Store, run: Run, measured: pa.Table) -> pa.Table:
    """Metrics of the whole run with their intervals."""
    n = measured.num_rows
    resamples = Resamples(n, run.measure.bootstrap, run.seed)
    kpe = np.asarray(Trajectories(store, run.trajectories_id).group()["kpe"][:])  # type: ignore[index]
    means = {"f_mem": memorized(run, measured), "kpe": kpe}
    if run.measure.classifier is not None:
        means |= {name: measured[name].to_numpy() for name in ("score", "margin")}
    found = mean_intervals(means, resamples)
    prepared = load(run.data)
    classifier = classifier_of(store, run, prepared)
    if classifier is not None:
        real = semantics(classifier, prepared.train, None).features
        found |= fidelity(real, stacked_features(measured), resamples)
        found["accuracy"] = Interval(held_out_accuracy(classifier, prepared), np.nan, np.nan)
    found |= probe_scores(store, run, prepared, kpe)
    if shows_growth(run):
        found |= growth_scores(store, run, resamples)
    rows = [
        {
            "run": run.run_id, "metric": m, "value": i.value, "low": _bounded(i.low), "high": _bounded(i.high),
            "n": probe_size(run) if m in PROBED else n,
        }
        for m, i in found.items()
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SCORES)


def memorized(run: Run, samples: pa.Table) -> np.ndarray:
    """1.0 where d₁/d₂ is below the run's threshold, else 0.0. A point with two exact copies counts as memorized."""
    d1, d2 = samples["d1"].to_numpy(), samples["d2"].to_numpy()
    return np.asarray((d1 < run.measure.memorized_below * d2) | (d2 == 0), dtype=np.float64)


def stacked_features(table: pa.Table) -> Features:
    """(n, F) from a table's list column ``features``."""
    column = table["features"].combine_chunks()
    return np.array(column.flatten(), dtype=np.float32).reshape(table.num_rows, -1)


def real_features(store: Store, run: Run, prepared: Prepared) -> Features:
    """Features of the whole train split, (N, F)."""
    classifier = classifier_of(store, run, prepared)
    assert classifier is not None
    return semantics(classifier, prepared.train, None).features


def _bounded(value: float) -> float | None:
    return None if np.isnan(value) else value
