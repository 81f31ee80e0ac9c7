"""Drift: a run of the same name whose numbers moved is warned of; one that only drew other noise is not."""

from pathlib import Path

import pandas as pd

from kpe_core.store.store import Store
from tasks.quality.judge import judge
from tests.tasks.quality.bench import Bench, make_run

CHECK = ("drift", "no metric has drifted by more than twice its interval since the last run of this name")


def judged(store: Store, seed: int, scale: float = 1.0, study: str = "nightly") -> Bench:
    data = {"name": "dense_sparse", "prepare": {"scale": scale}}
    run = make_run(store, "planar", data=data, sampling={"seed": seed})
    assert judge(store, [run], study) == {run.run_id: []}
    return Bench(store, run)


def test_drift_is_measured_in_intervals_from_the_last_run_of_the_name(tmp_path: Path) -> None:
    store = Store.create_or_open(str(tmp_path))
    first = judged(store, seed=0)
    assert CHECK not in first.checks()
    same = judged(store, seed=1)
    assert same.checks()[CHECK]["success"]
    other_study = judged(store, seed=2, study="weekly")
    assert CHECK not in other_study.checks()
    moved = judged(store, seed=3, scale=3.0)
    row = moved.checks()[CHECK]
    assert (row["success"], row["severity"]) == (False, "warning")

    def bias(b: Bench) -> pd.Series:
        return b.table("scores").to_pandas().set_index("metric").loc["kpe_bias"]

    now, before = bias(moved), bias(same)
    width = (((now.high - now.low) / 2) ** 2 + ((before.high - before.low) / 2) ** 2) ** 0.5
    assert f"kpe_bias ({abs(now.value - before.value) / width:.6g})" in row["observed"]
    assert "kpe_bias" in row["rows"]
