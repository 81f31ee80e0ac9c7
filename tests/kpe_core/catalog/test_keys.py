"""Joins and subqueries: the keys are found first, few chunks are read, and the answer stays what DuckDB says it is."""

from collections.abc import Iterator

import duckdb
import pytest

from kpe_core.catalog.catalog import Catalog
from kpe_core.store.store import Store
from tests.synthetic import write_run

N, NFE, DIM = 16, 19, 2304
ALONG_STATES = 3
VIEWS = ("runs", "samples", "study_runs", "trajectory")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store.create_or_open(str(tmp_path_factory.mktemp("random")))
    folder = str(tmp_path_factory.mktemp("studies"))
    for seed in (1, 2):
        write_run(store, folder, N, NFE, DIM, batch=8, seed=seed)
    return store


@pytest.fixture(scope="module")
def catalog(store: Store) -> Iterator[Catalog]:
    with Catalog(store) as found:
        yield found


@pytest.fixture(scope="module")
def plain(catalog: Catalog) -> Iterator[duckdb.DuckDBPyConnection]:
    """The same views as ordinary tables, of which no filter has anything to skip."""
    with duckdb.connect() as con:
        for view in VIEWS:
            con.register("given", catalog.ask(f"SELECT * FROM {view}"))
            con.execute(f"CREATE TABLE {view} AS SELECT * FROM given")
            con.unregister("given")
        yield con


ALL = 2 * 4 * ALONG_STATES
ONE = ALONG_STATES
"""Chunks of one sample."""

QUERIES = [
    # subqueries
    ("FROM trajectory WHERE run = (SELECT min(run) FROM runs) AND sample = 7", ONE),
    ("FROM trajectory WHERE (run, sample) = (SELECT (run, sample) FROM samples ORDER BY kpe LIMIT 1)", ALL),
    ("FROM trajectory WHERE sample IN (SELECT sample FROM samples ORDER BY kpe LIMIT 1)", 2 * ONE),
    ("FROM trajectory WHERE run IN (SELECT run FROM runs WHERE run_label LIKE 'nothing%')", 0),
    ("FROM trajectory WHERE run IN (SELECT run FROM runs WHERE seed = 1) AND state = 0", 4),
    (
        "FROM trajectory WHERE sample IN (SELECT s.sample FROM samples s WHERE s.run = trajectory.run AND s.kpe > 0.9)",
        ALL,
    ),
    ("FROM trajectory WHERE sample = 3 OR sample IN (SELECT 5)", ALL),
    ("FROM trajectory WHERE NOT sample IN (SELECT 5)", ALL),
    ("FROM trajectory WHERE sample >= (SELECT max(sample) FROM samples)", 2 * ONE),
    # joins
    ("FROM trajectory JOIN runs USING (run) WHERE runs.seed = 1 AND sample = 2", ONE),
    ("FROM trajectory t JOIN samples s USING (run, sample) WHERE s.kpe = (SELECT max(kpe) FROM samples)", ONE),
    (
        "FROM samples s JOIN trajectory t ON t.run = s.run AND t.sample = s.sample"
        " WHERE s.kpe >= (SELECT max(kpe) FROM samples)",
        ONE,
    ),
    (
        "FROM trajectory t, samples s, runs r"
        " WHERE t.run = s.run AND s.sample = t.sample AND t.run = r.run AND seed = 2 AND s.sample = 1",
        ONE,
    ),
    ("FROM trajectory SEMI JOIN (SELECT run, sample FROM samples ORDER BY kpe DESC LIMIT 1) USING (run, sample)", ONE),
    (
        "FROM (SELECT run, sample FROM samples ORDER BY kpe LIMIT 1) k JOIN trajectory USING (run, sample)"
        " WHERE state = 19",
        1,
    ),
    (
        "FROM trajectory JOIN samples USING (run, sample) JOIN runs USING (run) WHERE seed = 1 AND samples.sample = 0",
        ONE,
    ),
    ("FROM trajectory LEFT JOIN runs USING (run) WHERE sample = 0", 2 * ONE),
    ("FROM trajectory t LEFT JOIN samples s ON t.run = s.run AND t.sample = s.sample AND s.sample = 0", ALL),
    (
        "FROM trajectory a JOIN trajectory b USING (run, sample, state, coordinate)"
        " WHERE a.sample = 0 AND run IN (SELECT min(run) FROM runs)",
        3 * ONE,
    ),
    (
        "FROM trajectory SEMI"
        " JOIN (SELECT run, state AS t FROM (SELECT run, 0 AS state FROM runs)) USING (run) WHERE t < 0.1",
        8,
    ),
    # WITH
    ("FROM best JOIN trajectory USING (run, sample)", ONE),
    ("FROM trajectory WHERE sample IN (SELECT sample FROM best)", 2 * ONE),
    # time
    ("FROM trajectory WHERE t > 0.9", 8),
    ("FROM trajectory WHERE t BETWEEN 0.9 AND 1 AND sample = 1", 2),
    ("FROM trajectory JOIN runs USING (run) WHERE 0.95 <= t AND seed = 1", 4),
    ("FROM trajectory WHERE t >= 18 / 19.0 AND sample = 0", 2),
]


@pytest.mark.parametrize(("sql", "chunks"), QUERIES)
def test_keys_first(catalog: Catalog, plain: duckdb.DuckDBPyConnection, sql: str, chunks: int) -> None:
    head = "SELECT count(*) AS n, sum(x::DOUBLE) AS x "
    if " a JOIN " in sql:
        head = "SELECT count(*) AS n, sum(a.x::DOUBLE + b.x) AS x "
    if "best" in sql:
        head = "WITH best AS (SELECT run, sample FROM samples ORDER BY kpe LIMIT 1) " + head
    (expected,) = plain.execute(head + sql).fetchall()
    (found,) = catalog.ask(head + sql).to_pylist()
    assert (found["n"], found["x"]) == (expected[0], pytest.approx(expected[1]))
    assert catalog.io().chunks == chunks


def test_explain_and_nested_queries_work_as_well(catalog: Catalog) -> None:
    inner = "SELECT sample, avg(x) AS m FROM trajectory WHERE sample IN (SELECT 3) GROUP BY sample"
    sql = f"SELECT * FROM ({inner}) WHERE m > 0"
    assert catalog.ask(sql).num_rows == 1
    assert catalog.io().chunks == 2 * ONE
    assert catalog.ask("EXPLAIN " + sql).num_rows > 0
    assert catalog.ask("SHOW TABLES").num_rows > 0
    assert catalog._con.execute("SELECT count(*) FROM duckdb_views() WHERE view_name LIKE 'resolved%'").fetchall() == [
        (0,)
    ]
