"""A store as large as it gets, made up: what the SQL is timed on. Tables in the true format, no trajectories."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kpe_core.store.schema import CHECKS, COMPARISONS, DENSITIES, SAMPLES, SCORES, SEMANTICS, STEPS, THEORY
from kpe_core.store.store import Store

ESTIMATORS = (("knn(k=5)", 5.0),)
METRICS = ("f_mem", "kpe", "score", "margin", "frechet", "kid", "precision", "recall")
EXACT_STEPS = ("posterior_max", "posterior_entropy", "log_density")

RUNS: list[dict[str, Any]] = [
    {"label": "plain"},
    {"label": "landing", "shaping": {"beta0": 0.02}, "baseline": 0},
    {"label": "launch", "shaping": {"alpha0": 0.02}, "baseline": 0},
    {"label": "fine", "nfe": 40},
    {"label": "seed 1", "seed": 1},
]
"""One family of shapings, one finer grid, one other seed."""


def large_store(folder: Path, samples: int, steps: int, stepped: int) -> Store:
    """A store with one study ``large`` of five runs of ``samples`` samples in all; ``steps`` steps for the first
    ``stepped`` samples of each."""
    store = Store.create_or_open(str(folder))
    n = samples // len(RUNS)
    rows = []
    for i, told in enumerate(RUNS):
        run = f"{i:02d}" + "ab" * 15
        tables = _tables(np.random.default_rng(i), run, n, steps, min(stepped, n), exact=i == 0)
        for name, table in tables.items():
            sink = io.BytesIO()
            pq.write_table(table, sink, compression="snappy", write_page_checksum=True)
            store.write_parquet(f"runs/{run}/tables/{name}.parquet", sink.getvalue())
        store.write_json(f"runs/{run}/manifest.json", _manifest(told, run, n, list(tables)))
        rows.append({"study": "large", "position": i, "run": run, "experiment": "made-up", "label": told["label"]})
        if "baseline" in told:
            base = rows[told["baseline"]]["run"]
            told_of = {
                "run": run,
                "baseline": base,
                "metric": "f_mem",
                "delta": -0.1,
                "low": -0.11,
                "high": -0.09,
                "n": n,
            }
            table = pa.Table.from_pylist([told_of], schema=COMPARISONS)
            store.write_table(f"comparisons/{run}-{base}.parquet", table)
    store.write_json("studies/large/runs.json", rows)
    return store


def _manifest(told: dict[str, Any], run: str, n: int, tables: list[str]) -> dict[str, Any]:
    shaping = {"alpha0": 0.0, "beta0": 0.0, "tau": 0.6, "launch": "linear", "landing": "exponential", "rate": 3.0}
    spec = {
        "label": told["label"], "experiment": "made-up", "n_samples": n, "solver": "euler", "nfe": 20, "guidance": 1.0,
        "grid": "uniform", "energy_split": 0.6, "seed": 0, "fingerprint": "f", "weights": "w", "states": {"keep": "none"},
        "data": {"name": "made-up", "prepare": {"scaling": "centred", "scale": 1.0}},
        "field": {"kind": "network", "bridge": {"kind": "linear"}}, "measure": {"memorized_below": 1 / 3},
        **{key: value for key, value in told.items() if key in ("nfe", "seed")},
        "shaping": shaping | told.get("shaping", {}),
    }  # fmt: skip
    return {
        "run": spec, "run_id": run, "trajectories": "trajectories/none", "study": "large",
        "tables": dict.fromkeys(tables, ""),
        "provenance": {"git": None, "device": "cpu"}, "evaluations": n * spec["nfe"], "sampling_seconds": 1.0,
    }  # fmt: skip


def _tables(rng: np.random.Generator, run: str, n: int, steps: int, stepped: int, exact: bool) -> dict[str, pa.Table]:
    kpe = rng.gamma(20.0, 1.0, n)
    near = rng.random(n) * kpe / kpe.mean()
    label = rng.integers(0, 10, n)
    samples = {
        "sample": np.arange(n), "label": label, "kpe": kpe, "kpe_raw": kpe, "kpe_early": 0.6 * kpe,
        "kpe_late": kpe * (0.3 + 0.2 * near), "kpe_left": kpe, "kpe_trapezoid": 0.99 * kpe, "kpe_simpson": 0.99 * kpe,
        "kpe_error": 0.02 * near * kpe, "peak_power": kpe * rng.exponential(size=n), "peak_t": rng.random(n),
        "path_length": np.sqrt(kpe), "displacement": np.sqrt(kpe) * (1 + 0.1 * rng.random(n)),
        "straightness": rng.random(n), "norm": np.sqrt(kpe) + rng.normal(size=n), "d1": near, "d2": np.full(n, 1.5),
        "nearest": rng.integers(0, 50_000, n), "nearest_label": label, "score": kpe + rng.normal(0, 9, n),
        "margin": kpe - rng.normal(8, 9, n), "predicted": label,
    }  # fmt: skip
    densities = pa.concat_tables([
        _table(run, DENSITIES, {
            "sample": np.arange(n), "space": _same("data", n), "estimator": _same(name, n),
            "log_density": -kpe + rng.normal(0, 5, n), "parameter": np.full(n, parameter),
        })
        for name, parameter in ESTIMATORS
    ])  # fmt: skip
    at, m = np.tile(np.arange(steps), stepped), stepped * steps
    power = np.repeat(2 * kpe[:stepped], steps) * rng.uniform(0.5, 1.5, m)
    energy = power / 2 / steps
    walk = {
        "sample": np.repeat(np.arange(stepped), steps), "step": at, "t": at / steps, "dt": np.full(m, 1 / steps),
        "eta": np.ones(m), "power": power, "energy": energy,
        "cumulative_kpe": np.cumsum(energy.reshape(-1, steps), axis=1).ravel(),
    }  # fmt: skip
    tables = {
        "samples": _table(run, SAMPLES, samples),
        "densities": densities,
        "semantics": _table(run, SEMANTICS, {
            "sample": np.arange(n), "space": _same("classifier", n), "score": samples["score"],
            "margin": samples["margin"], "predicted": label, "agrees": np.ones(n, dtype=bool),
        }),
        "steps": _table(run, STEPS, walk),
        "scores": _table(run, SCORES, {
            "metric": np.array(METRICS), "value": rng.random(len(METRICS)), "low": np.zeros(len(METRICS)),
            "high": np.ones(len(METRICS)), "n": np.full(len(METRICS), n),
        }),
        "checks": _table(run, CHECKS, {
            "expectation": np.array(["one", "two"]), "suite": _same("samples", 2), "success": np.array([True, False]),
            "severity": _same("warning", 2),
        }),
    }  # fmt: skip
    if exact:
        theory = {f.name: np.full(steps, 0.5) for f in THEORY if f.name != "run"}
        tables["theory"] = _table(run, THEORY, theory | {"step": np.arange(steps), "t": np.arange(steps) / steps})
    return tables


def _table(run: str, schema: pa.Schema, columns: dict[str, Any]) -> pa.Table:
    n = len(next(iter(columns.values())))
    filled = [columns[f.name] if f.name in columns else pa.nulls(n, f.type) for f in schema if f.name != "run"]
    rest = [pa.array(c) if not isinstance(c, pa.Array | pa.ChunkedArray) else c for c in filled]
    return pa.table([_same(run, n), *rest], names=schema.names).cast(schema)


def _same(text: str, n: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, dtype=np.int32)), [text]).cast(pa.string())
