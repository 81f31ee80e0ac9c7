"""SQL that means harm, or asks what is none of its business. None of it does anything."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import UserError
from kpe_core.store.store import Store

HOSTILE = [
    # writes
    "DELETE FROM samples",
    "UPDATE samples SET kpe = 0",
    "INSERT INTO samples SELECT * FROM samples",
    "DROP VIEW samples",
    "CREATE TABLE t AS SELECT 1",
    "CREATE TEMP TABLE t (a INT)",
    "CREATE OR REPLACE VIEW samples AS SELECT 1",
    "ALTER VIEW samples RENAME TO s",
    "TRUNCATE manifest_text",
    "MERGE INTO samples USING runs ON true WHEN MATCHED THEN DELETE",
    "CREATE MACRO f(x) AS x",
    "CREATE SEQUENCE s",
    "CREATE SECRET (TYPE s3)",
    "CREATE FUNCTION average_rank(x, g) AS 0",
    "WITH x AS (DELETE FROM samples RETURNING *) SELECT * FROM x",
    # files
    "COPY samples TO '{dir}/out.csv'",
    "COPY (SELECT 1) TO '{dir}/out.parquet' (FORMAT parquet)",
    "EXPORT DATABASE '{dir}/out'",
    "COPY FROM DATABASE memory TO other",
    "IMPORT DATABASE '{dir}'",
    "ATTACH '{dir}/out.duckdb'",
    "ATTACH ':memory:' AS m",
    "DETACH memory",
    "USE memory",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM glob('/*')",
    "FROM '/etc/passwd'",
    "FROM '{dir}/t.parquet'",
    "SELECT * FROM read_parquet('{dir}/t.parquet')",
    "SELECT * FROM parquet_metadata('{dir}/t.parquet')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SUMMARIZE '{dir}/t.parquet'",
    "DESCRIBE '{dir}/t.parquet'",
    "SELECT * FROM samples WHERE run IN (SELECT content FROM read_text('/etc/passwd'))",
    "FROM read_duckdb('{dir}/t.duckdb')",
    "SELECT * FROM 'https://example.org/x.parquet'",
    "FROM 's3://bucket/x.parquet'",
    # extensions, settings, procedures
    "INSTALL httpfs",
    "LOAD httpfs",
    "FORCE INSTALL spatial",
    "UPDATE EXTENSIONS",
    "SET enable_external_access = true",
    "SET memory_limit = '900GB'",
    "RESET memory_limit",
    "SET VARIABLE a = 1",
    "PRAGMA database_list",
    "PRAGMA enable_profiling",
    "PRAGMA import_database('/tmp')",
    "CALL pragma_version()",
    "CALL duckdb_settings()",
    "CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "BEGIN TRANSACTION",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "DEALLOCATE p",
    # what is inside
    "SELECT * FROM manifest_text",
    "SELECT * FROM manifests",
    "SELECT * FROM parquet_samples",
    "SELECT * FROM memberships",
    "SELECT * FROM zarr_trajectory",
    "SELECT * FROM temp.main.parquet_samples",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_views()",
    "FROM duckdb_tables",
    "FROM sqlite_master",
    "FROM information_schema.tables",
    "FROM pg_catalog.pg_class",
    "SHOW DATABASES",
    "SHOW VARIABLES",
    "FROM pragma_database_list",
    "SELECT * FROM pragma_table_info('samples')",
    "SELECT getenv('HOME')",
    "SELECT 'HOME'.getenv()",
    "SELECT list_transform(['HOME'], lambda e: getenv(e))",
    "SELECT current_setting('temp_directory')",
    "SELECT getvariable('x')",
    "SELECT current_query()",
    "SELECT nextval('s')",
    "SELECT write_log('x')",
    # by way of something else
    "FROM query('SELECT * FROM manifest_text')",
    "FROM query_table('manifest_text')",
    "FROM query_table(['manifest_text'])",
    "FROM histogram_values('manifest_text', 'run')",
    "SELECT * FROM json_execute_serialized_sql('{{}}')",
    "FROM arrow_scan_dumb(1, 2, 3)",
    "FROM pandas_scan(1)",
    "FROM python_map_function()",
    "FROM seq_scan('manifest_text')",
    "FROM manifest_text, (WITH manifest_text AS (SELECT 1) FROM manifest_text)",
    "WITH a AS (FROM sqlite_master), sqlite_master AS (SELECT 1) FROM a",
    "WITH x AS (FROM x) FROM x",
    "SELECT (SELECT count(*) FROM manifest_text)",
    "SELECT 1 ORDER BY (SELECT 1 FROM manifest_text)",
    "SELECT 1 LIMIT (SELECT count(*) FROM manifest_text)",
    "FROM samples SEMI JOIN manifest_text USING (run)",
    "FROM samples, LATERAL (FROM manifest_text)",
    "SELECT 1 UNION ALL SELECT count(*) FROM manifest_text",
    "EXPLAIN ANALYZE FROM manifest_text",
    "EXPLAIN SELECT getenv('HOME')",
    "EXPLAIN ANALYZE COPY samples TO '{dir}/out.csv'",
    "PIVOT manifest_text ON run IN ('a') USING count(*)",
    "PIVOT samples ON run USING count(*)",
    "DESCRIBE manifest_text",
    "SUMMARIZE manifest_text",
    "TABLE manifest_text",
    "VALUES ((SELECT count(*) FROM manifest_text))",
    "FROM spearman('manifest_text', run, run, run)",
    "FROM spearman('mani' || 'fest_text', run, run, run)",
    "FROM spearman(relation := 'manifest_text', x := run, y := run, per := run)",
    "WITH manifest_text AS (SELECT 1 AS run) FROM spearman('manifest_text', run, run, run)",
    "FROM spearman((SELECT 'manifest_text'), run, run, run)",
    # several, none, and no SQL at all
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP VIEW samples",
    "",
    "-- nothing",
    "SELEC 1",
    "SELECT '",
    "SELECT \x00",
]


@pytest.fixture(scope="module")
def catalog(tiny_store: Store) -> Iterator[Catalog]:
    with Catalog(tiny_store) as found:
        yield found


@pytest.mark.parametrize("sql", HOSTILE)
def test_refused_in_a_sentence(catalog: Catalog, sql: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"^SQL: ") as refused:
        catalog.ask(sql.replace("{dir}", str(tmp_path)))
    assert "\n" not in str(refused.value)
    assert "Traceback" not in str(refused.value)
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_python_variables_are_not_tables(catalog: Catalog) -> None:
    secret = pa.table({"a": [1]})
    with pytest.raises(UserError, match="no view 'secret'"):
        catalog.ask("FROM secret")
    assert secret.num_rows == 1


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) AS n FROM samples",
        "FROM runs",
        "DESCRIBE samples",
        "SUMMARIZE steps",
        "EXPLAIN SELECT 1",
        "VALUES (1)",
        "EXPLAIN ANALYZE SELECT 1",
        "SHOW TABLES",
        "show tables;",
        "WITH a AS (SELECT 1 AS b) SELECT * FROM a",
        "FROM range(3)",
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT sum(i) FROM n",
        "TABLE scores",
        "PIVOT samples ON memorized IN (true, false) USING avg(kpe) GROUP BY run",
        "SELECT unnest([1, 2])",
        "FROM main.samples",
        "SELECT wilson_low(0.5, 10)",
        "FROM spearman('samples', kpe, norm, run)",
        "WITH mine AS (SELECT * FROM samples) FROM spearman('mine', kpe, norm, run)",
        "SELECT spec->>'$.nfe' FROM runs",
        "/* c */ SELECT 1 -- d",
        "SELECT run, average_rank(kpe, run) FROM samples",
    ],
)
def test_reading_is_not_refused(catalog: Catalog, sql: str) -> None:
    assert catalog.ask(sql).num_rows > 0


def test_tables_are_the_documented_ones(catalog: Catalog) -> None:
    from kpe_core.catalog.catalog import VIEWS

    assert catalog.ask("SHOW TABLES")["name"].to_pylist() == sorted(VIEWS)


def test_files_are_read_below_the_allowed_folder_only(tiny_store: Store, tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "t.csv").write_text("a\n1\n")
    with Catalog(tiny_store, allow_read=str(inside)) as catalog:
        for allowed in (f"FROM read_csv('{inside}/t.csv')", f"FROM '{inside}/t.csv'", f"FROM glob('{inside}/*')"):
            assert catalog.ask(allowed).num_rows == 1
        for refused in (
            f"FROM '{outside}/t.csv'", f"FROM read_csv('{outside}/t.csv')", f"FROM '{inside}/../out/t.csv'",
            f"FROM read_text(['{inside}/t.csv', '/etc/passwd'])", "FROM glob('/etc/*')", "FROM 'https://example.org/a.csv'",
            f"COPY samples TO '{inside}/x.csv'", f"ATTACH '{inside}/x.duckdb'", "SET enable_external_access = true",
            "FROM manifest_text", "FROM duckdb_settings()",
        ):  # fmt: skip
            with pytest.raises(UserError, match=r"^SQL: "):
                catalog.ask(refused)
        assert sorted(p.name for p in inside.iterdir()) == ["t.csv"]


@pytest.mark.parametrize("bomb", [
    "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range = b.range + 1 OR a.range * b.range < 0",
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i FROM n) SELECT count(*) FROM n",
])  # fmt: skip
def test_a_bomb_is_stopped_by_its_time_limit(catalog: Catalog, bomb: str) -> None:
    started = time.monotonic()
    with pytest.raises(UserError, match=r"stopped after 0.5 seconds"), catalog.stream(bomb, seconds=0.5) as reader:
        reader.read_all()
    assert time.monotonic() - started < 20
    assert catalog.ask("SELECT 1 AS a").to_pylist() == [{"a": 1}], "the session goes on"


def test_interrupt_stops_the_statement_from_another_thread(catalog: Catalog) -> None:
    threading.Timer(0.3, catalog.interrupt).start()
    with pytest.raises(UserError, match=r"(?i)interrupt"):
        catalog.ask("SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range * b.range < 0")


def test_memory_is_bounded_and_nothing_is_left_behind(tiny_store: Store) -> None:
    with Catalog(tiny_store, memory="1GB") as catalog:
        spill = Path(catalog._spill)
        assert spill.is_dir()
        with pytest.raises(UserError, match=r"(?i)memory|spill|temp"):
            catalog.ask("SELECT list(repeat('x', 1000) || i) FROM range(100000000) t(i)")
    assert not spill.exists()
