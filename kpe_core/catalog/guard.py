"""What a user's SQL may do: read the documented views, and nothing else.

DuckDB itself refuses files, extensions and settings (see catalog.py). This guard reads the statement's syntax tree before
it runs, lets through only the relations and table functions that are named here, and so also hides the raw tables,
DuckDB's own catalogs and whatever a later version of DuckDB may add.
"""

import json
import re
from collections.abc import Collection
from typing import Any

import duckdb

from kpe_core.errors import UserError

Tree = dict[str, Any]

TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "repeat", "json_each", "json_tree"})
FILE_FUNCTIONS = frozenset({
    "read_csv", "read_csv_auto", "sniff_csv", "read_parquet", "parquet_scan", "parquet_schema", "parquet_metadata",
    "read_json", "read_json_auto", "read_ndjson", "read_ndjson_auto", "read_text", "glob",
})  # fmt: skip
"""Allowed below the folder given with --allow-read."""
REFUSED_FUNCTIONS = frozenset({
    "getenv", "current_setting", "set_config", "getvariable", "current_query", "nextval", "currval", "setval", "write_log",
    "sleep_ms", "pg_sleep", "query", "query_table", "json_execute_serialized_sql", "pg_get_viewdef",
})  # fmt: skip
"""Scalar functions that tell of the process or act on it."""

_EXPLAIN = re.compile(r"\s*explain\b\s*(analyze\b|\([^)]*\))?\s*", re.IGNORECASE)


class Guard:
    """Checks statements against the relations a user may read; ``files`` opens the functions that read files."""

    def __init__(self, con: duckdb.DuckDBPyConnection, relations: Collection[str], files: bool) -> None:
        self._con = con
        self._relations = {name.lower() for name in relations}
        self._functions = TABLE_FUNCTIONS | (FILE_FUNCTIONS if files else frozenset())
        self._files = files
        views = con.execute(
            "SELECT view_name FROM duckdb_views() UNION SELECT table_name FROM duckdb_tables()"
        ).fetchall()
        self._hidden = {name.lower() for (name,) in views} - self._relations
        macros = con.execute(
            "SELECT function_name FROM duckdb_functions() WHERE function_type = 'table_macro' AND NOT internal"
        ).fetchall()
        self._macros = {name.lower() for (name,) in macros}

    def check(self, sql: str) -> Tree:
        """The syntax tree of the one statement, whose key ``explain`` holds its EXPLAIN prefix.

        Raises
        ------
        UserError
            for SQL that does not parse, is no single statement, or would do anything but read what may be read.
        """
        try:
            statements = self._con.extract_statements(sql)
        except duckdb.Error as error:
            raise UserError(f"SQL: {first_lines(error)}") from None
        if len(statements) != 1:
            raise UserError(f"SQL: one statement at a time, please (found {len(statements)})")
        text, prefix = statements[0].query, ""
        try:
            kind = statements[0].type
        except ValueError:  # DuckDB knows statements that its Python client has no name for
            raise UserError("SQL: this statement is refused: only reading is allowed here") from None
        if kind == duckdb.StatementType.EXPLAIN and (match := _EXPLAIN.match(text)):
            prefix, text = match.group(0), text[match.end() :]
        elif kind != duckdb.StatementType.SELECT:
            raise UserError(
                f"SQL: {kind.name} is refused: only reading is allowed here, with SELECT, DESCRIBE, SHOW TABLES, "
                "SUMMARIZE or EXPLAIN"
            )
        tree = parse(self._con, text)
        try:
            for statement in tree["statements"]:
                self._walk(statement["node"], frozenset())
        except RecursionError:
            raise UserError("SQL: this statement is nested too deeply to be checked") from None
        return tree | {"explain": prefix}

    def _walk(self, node: Any, ctes: frozenset[str]) -> None:
        """Visit every part of the tree; ``ctes`` are the names that WITH gives a meaning here."""
        if isinstance(node, list):
            for each in node:
                self._walk(each, ctes)
        if not isinstance(node, dict):
            return
        for entry in node.get("cte_map", {}).get("map", []):
            body = entry["value"]["query_node"]
            recursive = {entry["key"].lower()} if "RECURSIVE" in body["type"] else set()
            self._walk(entry["value"], ctes | recursive)
            ctes |= {entry["key"].lower()}
        match node.get("type"):
            case "BASE_TABLE":
                self._relation(node, ctes)
            case "TABLE_FUNCTION":
                self._table_function(node["function"], ctes)
            case "SHOW_REF" if node["query"] is None:
                raise UserError("SQL: only SHOW TABLES, DESCRIBE and SUMMARIZE of a view are allowed")
        if node.get("class") in ("FUNCTION", "WINDOW") and node.get("function_name", "").lower() in REFUSED_FUNCTIONS:
            raise UserError(f"SQL: the function {node['function_name']} is refused: only the views may be read")
        for key, value in node.items():
            if key != "cte_map":
                self._walk(value, ctes)

    def _relation(self, node: Tree, ctes: frozenset[str]) -> None:
        name, where = node["table_name"], (node["catalog_name"].lower(), node["schema_name"].lower())
        if where == ("", "") and (name.lower() in ctes or name.lower() in self._relations):
            return
        if where in (("", "main"), ("memory", ""), ("memory", "main")) and name.lower() in self._relations:
            return
        if self._files and where == ("", "") and re.search(r"[./]", name):
            return  # a file's name, which DuckDB itself holds against the allowed folder
        shown = ".".join(part for part in (*where, name) if part)
        raise UserError(f"SQL: no view {shown!r} to read; there are {', '.join(sorted(self._relations))}")

    def _table_function(self, function: Tree, ctes: frozenset[str]) -> None:
        name = function["function_name"].lower()
        if name in self._functions:
            return
        if name in self._macros:
            self._macro(name, function["arguments"], ctes)
        elif name in FILE_FUNCTIONS:
            raise UserError(f"SQL: {name} is refused: files are read only below a folder given with --allow-read")
        else:
            allowed = ", ".join(sorted(self._functions | self._macros))
            raise UserError(f"SQL: the table function {name} is refused; allowed are {allowed}")

    def _macro(self, name: str, arguments: list[Tree], ctes: frozenset[str]) -> None:
        """Our table macros read the relation that their first argument names."""
        known = self._relations | (ctes - self._hidden)
        for i, argument in enumerate(arguments):
            if i == 0 or argument["name"].lower() == "relation":
                value = argument["expression"]
                relation = value["literal"]["text"] if value["class"] == "CONSTANT" and "literal" in value else ""
                if relation.lower() not in known:
                    raise UserError(f"SQL: {name} reads a view or a WITH query, whose name in quotes comes first")


def parse(con: duckdb.DuckDBPyConnection, sql: str) -> Tree:
    """The syntax tree of SELECT statements.

    Raises
    ------
    UserError
        for a statement that DuckDB cannot write as a tree, as PIVOT without IN.
    """
    try:
        tree = json.loads(con.execute("SELECT json_serialize_sql($1::VARCHAR)", [sql]).fetchall()[0][0])
    except (duckdb.Error, RecursionError) as error:
        raise UserError(f"SQL: this statement cannot be checked: {first_lines(error)}") from None
    if tree["error"]:
        raise UserError(f"SQL: this statement is refused, since it cannot be checked: {tree['error_message']}")
    return dict(tree)


SCAN = "Invalid Input Error: reading the stream registered as"
"""What DuckDB says before the message of an error met while it reads a store's own arrays."""


def first_lines(error: Exception) -> str:
    """DuckDB's message without its blank lines, the echo of the query, and what Python adds to an error of a scan."""
    message = str(error).partition("Detail: Python exception")[0]
    if message.startswith(SCAN):
        message = message.partition("Unknown error: ")[2] or message
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.startswith(("LINE ", "^")))
