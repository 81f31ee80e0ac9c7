"""The catalog file, opened by plain DuckDB in another process that knows nothing of this package."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from kpe_core.catalog.catalog import Catalog
from kpe_core.catalog.write import write_catalog
from kpe_core.errors import UserError
from kpe_core.store.store import Store

ASK = (
    "SELECT run_label, count(*) AS n, round(sum(kpe), 6) AS kpe, count(memorized) AS m "
    "FROM samples JOIN runs USING (run) GROUP BY 1 ORDER BY 1"
)


def elsewhere(file: Path, sql: str) -> str:
    code = (
        f"import duckdb\nwith duckdb.connect({str(file)!r}, read_only=True) as c: print(c.execute({sql!r}).fetchall())"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, cwd=file.parent, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_any_client_finds_the_same(tiny_store: Store, tmp_path: Path) -> None:
    file = tmp_path / "it's.duckdb"
    assert write_catalog(tiny_store, file) == 3
    with Catalog(tiny_store) as catalog:
        expected = [tuple(row.values()) for row in catalog.ask(ASK).to_pylist()]
    assert elsewhere(file, ASK) == str(expected)
    assert elsewhere(file, "SELECT count(*) FROM spearman('samples', kpe, norm, run)") == "[(3,)]"
    assert "kpe sql" in elsewhere(file, "SELECT note FROM kpe_catalog")
    assert write_catalog(tiny_store, file) == 3, "it may be written again"
    assert [p.name for p in tmp_path.iterdir()] == [file.name]


def test_a_store_without_runs(tmp_path: Path) -> None:
    file = tmp_path / "empty.duckdb"
    assert write_catalog(Store.create_or_open(str(tmp_path / "store")), file) == 0
    for view in ("runs", "samples", "steps", "comparisons", "study_runs"):
        assert elsewhere(file, f"SELECT count(*) FROM {view}") == "[(0,)]"


def test_nothing_else_is_overwritten(tiny_store: Store, tmp_path: Path) -> None:
    text, other = tmp_path / "a.txt", tmp_path / "b.duckdb"
    text.write_text("mine")
    with duckdb.connect(str(other)) as con:
        con.execute("CREATE TABLE mine AS SELECT 1 AS a")
    for file in (text, other, tmp_path):
        with pytest.raises(UserError, match="no catalog"):
            write_catalog(tiny_store, file)
    with pytest.raises(UserError, match="cannot write"):
        write_catalog(tiny_store, tmp_path / "no" / "such.duckdb")
    assert text.read_text() == "mine"
    with duckdb.connect(str(other)) as con:
        assert con.execute("SELECT a FROM mine").fetchall() == [(1,)]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "b.duckdb"]
