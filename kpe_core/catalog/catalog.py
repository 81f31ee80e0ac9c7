"""SQL over every finalised run of a store: an in-memory DuckDB with the views of ``sql/views/``.

The tables are scanned as Arrow datasets, so DuckDB itself needs no file access, and has none: user SQL can read the
views and nothing else.
"""

from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from kpe_core.catalog.described import SQL, comments
from kpe_core.errors import UserError
from kpe_core.identity import canonical_json
from kpe_core.stages.manifest import manifests
from kpe_core.store.schema import COMPARISONS, RUN_TABLES
from kpe_core.store.store import Store

VIEWS = ("runs", "study_runs", "samples", "densities", "steps", "features", "scores", "theory", "checks", "comparisons")
"""In the order of their dependence."""

NUMERIC = ("BIGINT", "INTEGER", "DOUBLE", "FLOAT", "BOOLEAN")

_READS = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}


class Catalog:
    """A read-only session; use as a context manager, since DuckDB wants its connections closed."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._con = duckdb.connect(
            ":memory:",
            config={
                "python_enable_replacements": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        self._register()
        for script in ("macros.sql", *(f"views/{view}.sql" for view in VIEWS)):
            self._con.execute((SQL / script).read_text(encoding="utf-8"))
        self._con.execute(comments(VIEWS))
        self._con.execute("SET enable_progress_bar = false")
        self._con.execute("SET enable_external_access = false")
        self._con.execute("SET lock_configuration = true")

    def __enter__(self) -> "Catalog":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._con.close()

    # -- asking --------------------------------------------------------------------------------------------------

    def ask(self, sql: str) -> pa.Table:
        """The answer to a user's one statement, which may only read.

        Raises
        ------
        UserError
            for SQL that does not parse or run, or that would change anything.
        """
        try:
            statements = self._con.extract_statements(sql)
        except duckdb.Error as error:
            raise UserError(f"SQL: {_first_lines(error)}") from None
        if len(statements) != 1:
            raise UserError(f"SQL: one statement at a time, please (found {len(statements)})")
        if statements[0].type not in _READS:
            raise UserError(
                f"SQL: {statements[0].type.name} is refused, `kpe sql` only reads: "
                "SELECT, DESCRIBE, SHOW, SUMMARIZE, EXPLAIN"
            )
        try:
            return self._con.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise UserError(f"SQL: {_first_lines(error)}") from None

    def query(self, sql: str, **parameters: Any) -> pa.Table:
        """The answer to the project's own SQL with named parameters."""
        return self._con.sql(sql, params=parameters).to_arrow_table()

    def numeric_columns(self, view: str) -> list[str]:
        """The view's columns that hold numbers, or truth values, which count as 0 and 1."""
        rows = self.query(f"DESCRIBE {view}").to_pylist()
        return [row["column_name"] for row in rows if row["column_type"] in NUMERIC]

    # -- what there is to ask ------------------------------------------------------------------------------------

    def _register(self) -> None:
        found = manifests(self.store)
        rows = [{"run": m["run_id"], "manifest": canonical_json(m)} for m in found]
        schema = pa.schema([("run", pa.string()), ("manifest", pa.string())])
        self._con.register("manifest_text", pa.Table.from_pylist(rows, schema=schema))
        self._con.execute("CREATE VIEW manifests AS SELECT run, manifest::JSON AS manifest FROM manifest_text")
        self._con.register("memberships", self._memberships())
        for name, columns in RUN_TABLES.items():
            paths = [f"runs/{m['run_id']}/tables/{name}.parquet" for m in found if name in m["tables"]]
            self._con.register(f"parquet_{name}", self._dataset(paths, columns))
        comparisons = [f"comparisons/{n}" for n in self.store.list("comparisons")]
        self._con.register("parquet_comparisons", self._dataset(comparisons, COMPARISONS))

    def _dataset(self, paths: list[str], schema: pa.Schema) -> Any:
        if not paths:
            return schema.empty_table()
        return ds.dataset(
            [self.store.path(p) for p in paths], schema=schema, filesystem=self.store.fs, format="parquet"
        )

    def _memberships(self) -> pa.Table:
        schema = pa.schema([
            ("study", pa.string()), ("position", pa.int64()), ("run", pa.string()),
            ("experiment", pa.string()), ("label", pa.string()),
        ])  # fmt: skip
        rows: list[dict[str, Any]] = []
        for study in self.store.list("studies"):
            if self.store.exists(f"studies/{study}/runs.json"):
                rows += self.store.read_json(f"studies/{study}/runs.json")
        return pa.Table.from_pylist(rows, schema=schema)


def _first_lines(error: duckdb.Error) -> str:
    """DuckDB's message without its blank lines and the echo of the query."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.startswith(("LINE ", "^")))
