"""Stage: a run's Parquet tables, from its trajectories and measurements."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kpe_core.data.datasets import load
from kpe_core.features.registry import reads_data_classes
from kpe_core.stages.measure import density_columns, measures_folder
from kpe_core.stages.scores import scores_table
from kpe_core.stages.theory import is_exact, theory_columns
from kpe_core.store.schema import DENSITIES, FEATURES, SAMPLES, SEMANTICS, STEPS, THEORY
from kpe_core.store.sealed import PARQUET
from kpe_core.store.store import Store
from kpe_core.store.trajectories import PER_EXACT_STEP, PER_SAMPLE, Trajectories
from kpe_core.study.runs import Run
from kpe_core.threads import one_thread


def table_path(run: Run, name: str) -> str:
    return f"runs/{run.run_id}/tables/{name}.parquet"


def tabulate(store: Store, run: Run) -> dict[str, int]:
    """Write the run's samples, densities, semantics, features, steps and scores; returns their row counts."""
    with one_thread():
        measured = _read_measures(store, run)
        tables = {
            "samples": _samples(store, run, measured),
            "densities": _densities(run, measured),
            "semantics": _semantics(store, run, measured),
            "features": _features(run, measured),
            "scores": scores_table(store, run, measured),
        }
    if is_exact(run):
        tables["theory"] = _with_run(run, theory_columns(store, run, load(run.data)), THEORY)
    counts = {name: table.num_rows for name, table in tables.items()}
    for name, table in tables.items():
        store.write_table(table_path(run, name), table)
    counts["steps"] = _write_steps(store, run)
    return counts


def _read_measures(store: Store, run: Run) -> pa.Table:
    names = store.list(measures_folder(run))
    tables = [store.read_table(f"{measures_folder(run)}/{name}") for name in names]
    return pa.concat_tables(tables).replace_schema_metadata(None)  # of one shard's time


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
    """Energies, neighbours, and the semantics of the first space that has some."""
    group = Trajectories(store, run.trajectories_id).group()
    for name in PER_SAMPLE:
        measured = measured.append_column(name, pa.array(np.asarray(group[name][:])))  # type: ignore[index]
    if run.conditional:
        measured = measured.append_column("label", pa.array(np.asarray(group["label"][:])))  # type: ignore[index]
    first = next((i for i, space in enumerate(run.measure.spaces) if space.has_semantics), None)
    if first is not None:
        for name in ("score", "margin"):
            measured = measured.append_column(name, measured[f"{name}_{first}"])
        if reads_data_classes(run.measure.spaces[first], load(run.data)):
            measured = measured.append_column("predicted", measured[f"predicted_{first}"])
    return _with_run(run, measured, SAMPLES)


def _semantics(store: Store, run: Run, measured: pa.Table) -> pa.Table:
    parts = []
    for i, space in enumerate(run.measure.spaces):
        if not space.has_semantics:
            continue
        columns = {name: measured[f"{name}_{i}"] for name in ("score", "margin", "predicted")}
        if run.conditional and reads_data_classes(space, load(run.data)):
            label = np.asarray(Trajectories(store, run.trajectories_id).group()["label"][:])  # type: ignore[index]
            columns["agrees"] = pa.array(measured[f"predicted_{i}"].to_numpy() == label)
        parts.append(_with_run(run, _in_space(space.name, measured, columns), SEMANTICS))
    return pa.concat_tables(parts) if parts else SEMANTICS.empty_table()


def _features(run: Run, measured: pa.Table) -> pa.Table:
    parts = [
        _with_run(run, _in_space(space.name, measured, {"features": measured[f"features_{i}"]}), FEATURES)
        for i, space in enumerate(run.measure.spaces)
        if f"features_{i}" in measured.column_names
    ]
    return pa.concat_tables(parts) if parts else FEATURES.empty_table()


def _in_space(space: str, measured: pa.Table, columns: dict[str, pa.ChunkedArray]) -> pa.Table:
    return pa.table({"sample": measured["sample"], "space": pa.array([space] * measured.num_rows), **columns})


def _densities(run: Run, measured: pa.Table) -> pa.Table:
    parts = [
        _in_space(space, measured, {
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
    with pq.ParquetWriter(sink, STEPS, **PARQUET) as writer:
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
    store.write_parquet(table_path(run, "steps"), sink.getvalue())
    return run.n_samples * run.steps
