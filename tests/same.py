"""Whether two stores hold the same numbers, bit for bit."""

import numpy as np

from kpe_core.stages.manifest import registered
from kpe_core.store.schema import RUN_TABLES
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories


def assert_same_numbers(a: Store, b: Store, checked: bool = True) -> int:
    """The same run ids, arrays, metadata and table rows; whatever the shards, workers and interruptions.

    Returns how many arrays and tables were compared. ``checked``: whether both went through the quality gate.
    """
    compared = 0
    assert a.list("runs") == b.list("runs")
    assert a.list("runs")
    for run_id in a.list("runs"):
        run = registered(a, run_id)
        left, right = (Trajectories(s, run.trajectories_id).group() for s in (a, b))
        assert dict(left.attrs) == dict(right.attrs)
        assert sorted(left.array_keys()) == sorted(right.array_keys())
        for name in left.array_keys():
            x, y = np.asarray(left[name][:]), np.asarray(right[name][:])  # type: ignore[index]
            assert x.tobytes() == y.tobytes(), f"{run.label}: array {name} differs"
            compared += 1
            assert not (x.dtype.kind == "f" and np.isnan(x).any()), f"{run.label}: array {name} has holes"
        for table in RUN_TABLES if checked else RUN_TABLES.keys() - {"checks"}:
            path = f"runs/{run_id}/tables/{table}.parquet"
            assert a.exists(path) == b.exists(path), path
            if a.exists(path):
                compared += 1
                assert a.read_table(path).equals(b.read_table(path)), f"{run.label}: table {table} differs"
    assert a.list("comparisons") == b.list("comparisons")
    for name in a.list("comparisons"):
        assert a.read_table(f"comparisons/{name}").equals(b.read_table(f"comparisons/{name}"))
        compared += 1
    return compared
