"""The trajectory and states views against the Zarr arrays they come from, and what was read for each answer."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import StoreDamaged, UserError
from kpe_core.store.store import Store
from kpe_core.study.runs import Run
from tests.synthetic import write_run

N, NFE, DIM = 16, 19, 2304


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.create_or_open(str(tmp_path_factory.mktemp("random")))


@pytest.fixture(scope="module")
def runs(store: Store, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two runs of different shape, and one that keeps no states."""
    folder = str(tmp_path_factory.mktemp("studies"))
    return [
        write_run(store, folder, N, NFE, DIM, batch=8, seed=1),
        write_run(store, folder, 10, 4, 3, batch=10, seed=2),
        write_run(store, folder, 10, 4, 3, batch=10, keep="none", seed=3),
    ]


@pytest.fixture(scope="module")
def catalog(store: Store, runs: list[Run]) -> Iterator[Catalog]:
    with Catalog(store) as found:
        yield found


@pytest.fixture(scope="module")
def truth(store: Store, runs: list[Run]) -> pd.DataFrame:
    """Every row, by xarray and pandas."""
    frames = []
    for run in runs[:2]:
        data = xr.open_zarr(f"{store.root}/trajectories/{run.trajectories_id}/data.zarr")
        frame = data.x.to_series().reset_index()
        frame["t"] = data.t.to_numpy()[frame["state"]]
        frames.append(frame.assign(run=run.run_id))
    return pd.concat(frames, ignore_index=True)[["run", "sample", "state", "t", "coordinate", "x"]]


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    keys = ["run", "sample", "state", "coordinate"]
    a, b = (f.sort_values(keys).reset_index(drop=True) for f in (found, expected))
    pd.testing.assert_frame_equal(a, b, check_dtype=False)


def test_all_rows(catalog: Catalog, truth: pd.DataFrame) -> None:
    same(catalog.ask("SELECT * FROM trajectory").to_pandas(), truth)
    rows = catalog.ask("SELECT run, sample, state, x FROM states").to_pandas()
    joined = truth.groupby(["run", "sample", "state"]).x.apply(lambda x: x.tolist()).reset_index()
    rows = rows.sort_values(["run", "sample", "state"]).reset_index(drop=True)
    assert [list(x) for x in rows.x] == joined.x.tolist()


def test_one_sample_reads_its_chunks_and_no_other(catalog: Catalog, runs: list[Run], truth: pd.DataFrame) -> None:
    a, b = catalog._states[[s.run for s in catalog._states].index(runs[0].run_id)].chunk
    assert 1 < a < N, "the run must be of several chunks both ways"
    assert 1 < b < NFE
    along_samples, along_states = -(-N // a), -(-(NFE + 1) // b)
    run = runs[0].run_id
    for sql, chunks in [
        (f"run = '{run}' AND sample = 7", along_states),
        (f"run = '{run}' AND state = {NFE}", along_samples),
        (f"run = '{run}' AND sample = 7 AND state BETWEEN 0 AND 3", 1),
        (f"run = '{run}' AND sample IN (0, {N - 1})", 2 * along_states),
        (f"run = '{run}' AND (sample = 7 AND state = 0 OR sample = {N - 1} AND state = {NFE})", 2),
        (f"run = '{run}' AND t <= 0", along_samples),
        (f"run = '{run}'", along_samples * along_states),
        ("sample = -1", 0),
        ("run = 'no such run'", 0),
    ]:
        found = catalog.ask(f"SELECT * FROM trajectory WHERE {sql}").to_pandas()
        io = catalog.io()
        with duckdb.connect() as plain:
            expected = plain.register("truth", truth).sql(f"SELECT * FROM truth WHERE {sql}").to_df()
        same(found, expected)
        assert io.chunks == chunks, sql
        assert (io.bytes > 0) == (chunks > 0)
        assert io.total_chunks == along_samples * along_states + 1
        assert io.bytes <= io.total_bytes


def test_keys_alone_read_nothing(catalog: Catalog, truth: pd.DataFrame) -> None:
    assert catalog.ask("SELECT count(*) AS n FROM trajectory").to_pylist() == [{"n": len(truth)}]
    assert catalog.io().chunks == 0
    assert catalog.ask("SELECT max(sample * state * t) FROM trajectory WHERE coordinate < 2")[0][0].as_py() > 0
    assert catalog.io().chunks == 0


def test_limit_stops_early(catalog: Catalog) -> None:
    assert catalog.ask("SELECT x FROM trajectory LIMIT 3").num_rows == 3
    assert catalog.io().chunks < catalog.io().total_chunks / 2


_CONDITIONS = [
    "sample {op} {i}", "state {op} {i}", "coordinate {op} {i}", "t {op} {f}", "x {op} {f}", "run {op} '{run}'",
    "sample IN ({i}, {j}, 7)", "state NOT IN ({i}, {j})", "x IS NULL", "sample IS NOT NULL", "NOT (state {op} {i})",
    "sample BETWEEN {i} AND {j}", "sample % 3 = 0", "sample + state {op} {i}", "t IN (0, 1, {f})", "sample {op} state",
    "run LIKE '{run}%'", "sample {op} {f}", "coalesce(sample, 0) = {i}", "isnan(x)", "NOT (x {op} {f})",
]  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_filter_gives_what_duckdb_gives_on_a_plain_table(
    catalog: Catalog, runs: list[Run], truth: pd.DataFrame, data: st.DataObject
) -> None:
    """Conditions put together at random: whatever is pushed down, the answer is that of DuckDB over a data frame."""

    def condition(depth: int) -> str:
        if depth and data.draw(st.booleans()):
            return f"({condition(depth - 1)} {data.draw(st.sampled_from(['AND', 'OR']))} {condition(depth - 1)})"
        template = data.draw(st.sampled_from(_CONDITIONS))
        return template.format(
            op=data.draw(st.sampled_from(["=", "<>", "<", "<=", ">", ">="])), i=data.draw(st.integers(-1, N)),
            j=data.draw(st.integers(-1, N)), f=data.draw(st.sampled_from(["0.0", "0.25", "0.5", "1", "10 / 19.0"])),
            run=runs[data.draw(st.integers(0, 2))].run_id,
        )  # fmt: skip

    where = condition(3)
    sums = "count(*) AS n, sum(sample) AS s, sum(state) AS k, sum(coordinate) AS c, sum(x::DOUBLE) AS x"
    sql = f"SELECT {sums} FROM {{}} WHERE {{}}"
    with duckdb.connect() as plain:
        plain.register("truth", truth)
        (expected,) = plain.execute(sql.format("truth", where)).fetchall()
    (found,) = catalog.ask(sql.format("trajectory", where)).to_pylist()
    assert tuple(found.values())[:4] == expected[:4], where
    assert found["x"] == pytest.approx(expected[4]), where


def test_a_missing_object_and_a_broken_one_are_named(tmp_path: Path) -> None:
    store = Store.create_or_open(str(tmp_path / "store"))
    run = write_run(store, str(tmp_path), 8, 4, 2, batch=4, seed=1)
    folder = Path(store.root) / "trajectories" / run.trajectories_id / "data.zarr" / "x" / "c"
    first, second = sorted(p for p in folder.rglob("*") if p.is_file())
    first.write_bytes(b"nothing of the kind")
    second.unlink()
    with Catalog(store) as catalog:
        for sample, word in ((0, "cannot be read"), (7, "missing")):
            with pytest.raises((StoreDamaged, UserError), match=rf"data.zarr/x.*{word}"):
                catalog.ask(f"SELECT x FROM trajectory WHERE sample = {sample}")
        assert catalog.ask("SELECT count(*) AS n FROM samples").to_pylist() == [{"n": 8}]


def test_damaged_tables_are_named(tmp_path: Path) -> None:
    store = Store.create_or_open(str(tmp_path / "store"))
    run = write_run(store, str(tmp_path), 8, 4, 2, batch=4, seed=1)
    table = Path(store.root) / "runs" / run.run_id / "tables" / "samples.parquet"
    table.write_bytes(table.read_bytes()[:1000])
    with Catalog(store) as catalog:
        assert catalog.ask("SELECT count(*) AS n FROM trajectory").to_pylist() == [{"n": 80}]
        with pytest.raises(StoreDamaged, match=r"samples\.parquet"):
            catalog.ask("SELECT * FROM samples")
    table.unlink()
    with pytest.raises(StoreDamaged, match=r"samples\.parquet is missing"):
        Catalog(store)


def test_states_are_as_they_were_stored(tiny_store: Store) -> None:
    """A run that keeps every fifth state of images: state counts what is stored, t says when."""
    with Catalog(tiny_store) as catalog:
        found = catalog.ask(
            "SELECT DISTINCT state, t FROM states JOIN runs USING (run) WHERE run_label = 'planar' ORDER BY state"
        )
        assert found["t"].to_pylist() == [0, 0.25, 0.5, 0.75, 1]
        wide = catalog.ask("SELECT run, sample, list_sum(x) AS s FROM states WHERE t = 1 ORDER BY ALL").to_pandas()
        long = catalog.ask(
            "SELECT run, sample, sum(x) AS s FROM trajectory WHERE t = 1 GROUP BY ALL ORDER BY ALL"
        ).to_pandas()
    assert np.allclose(wide.s, long.s, rtol=1e-5, atol=1e-4)
    assert len(wide) == 480
