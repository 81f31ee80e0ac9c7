"""SQL drawn from a grammar of DuckDB wider than what is allowed, spoiled by tokens."""

import random
from pathlib import Path

import duckdb

from kpe_core.catalog.catalog import VIEWS, Catalog
from tests.fuzz.harness import Target
from tests.kpe_core.catalog.test_hostile import HOSTILE

SECONDS = 3.0
"""A statement may take; longer ones are stopped in a sentence."""
HIDDEN = (
    "manifest_text",
    "manifests",
    "parquet_samples",
    "memberships",
    "zarr_trajectory",
    "duckdb_settings",
    "sqlite_master",
)
FILES = (
    "'/etc/passwd'", "'{dir}/out.csv'", "'https://example.org/x'", "'s3://b/x.parquet'", "'~/.ssh/id_rsa'",
    "'/proc/self/environ'",
)  # fmt: skip
COLUMNS = (
    "run",
    "sample",
    "kpe",
    "t",
    "x",
    "label",
    "norm",
    "state",
    "coordinate",
    "spec",
    "*",
    "nothing",
    "rowid",
    "filename",
)
LITERALS = (
    "1", "0", "-1", "NULL", "1e308", "'x'", "'manifest_text'", "[1, 2]", "{'a': 1}", "DATE '2024-02-30'", "true",
    "x'00'",
    "1e-400", "9" * 40, "''", "INTERVAL 1 DAY", "$1", "?", "$a", "'\\x00'", "MAP {1: 2}", "lambda v: v",
    "COLUMNS('.*')",
)  # fmt: skip
OPERATORS = ("+", "-", "*", "/", "%", "||", "=", "<", "IN", "LIKE", "->>", "~", "IS NOT DISTINCT FROM", "**")
WRITES = (
    "DELETE FROM", "INSERT INTO", "UPDATE", "DROP VIEW", "CREATE TABLE", "ATTACH", "COPY", "SET", "PRAGMA", "CALL",
    "INSTALL",
    "LOAD", "EXPORT DATABASE", "VACUUM", "CHECKPOINT", "BEGIN", "EXPLAIN ANALYZE", "EXPLAIN", "DESCRIBE", "SUMMARIZE",
    "SHOW",
    "USE", "PIVOT", "UNPIVOT", "FROM", "TABLE", "VALUES", "PREPARE p AS", "EXECUTE p", "CREATE MACRO f() AS",
    "CREATE SECRET",
)  # fmt: skip
USUAL = ["abs", "sum", "count", "avg", "max", "length", "lower", "round", "list", "coalesce", "quantile_cont", "concat"]
SPOILS = ("(", ")", ";", "--", "/*", "'", '"', "\x00", "$$", ",")
DEEP = (
    "(" * 3000, "SELECT " + "-" * 5001 + "1", "SELECT " + "(" * 900 + "1" + ")" * 900, "SELECT " + "1+" * 4000 + "1",
)  # fmt: skip


def _functions() -> tuple[list[str], list[str]]:
    """Every scalar and every table function that DuckDB itself has."""
    with duckdb.connect() as con:
        rows = con.execute("SELECT DISTINCT function_name, function_type FROM duckdb_functions()").fetchall()
    return (
        sorted(name for name, kind in rows if kind in ("scalar", "aggregate", "macro")),
        sorted(name for name, kind in rows if kind in ("table", "table_macro", "pragma")),
    )


def sql(folder: Path, catalog: Catalog) -> Target:
    """Statements; ``catalog`` lives as long as the target."""
    scalars, tables = _functions()
    scalars += USUAL * (2 * len(scalars) // len(USUAL))
    views = [*VIEWS * 4, *HIDDEN]

    def value(rng: random.Random, depth: int) -> str:
        if depth <= 0 or rng.random() < 0.3:
            return rng.choice(COLUMNS) if rng.random() < 0.6 else rng.choice(LITERALS)
        a, b = value(rng, depth - 1), value(rng, depth - 2)
        return rng.choice([
            f"{a} {rng.choice(OPERATORS)} {b}",
            f"{rng.choice(scalars)}({a})", f"{rng.choice(scalars)}({a}, {b})",
            f"{rng.choice(scalars)}({a}, {b}, {rng.choice(LITERALS)})",
            f"CAST({a} AS {rng.choice(['INT', 'DOUBLE', 'VARCHAR', 'BLOB', 'JSON', 'nothing', 'INT[]', 'STRUCT(a INT)'])})",
            f"({query(rng, depth - 1)})", f"CASE WHEN {a} THEN {b} END", f"[{a}, {b}]", f"{a}.{rng.choice(scalars)}()",
            f"{rng.choice(scalars)}({a}) OVER (PARTITION BY {b} ORDER BY {a})",
            f"list_transform([{a}], lambda e: {rng.choice(scalars)}(e))",
            f"EXISTS ({query(rng, depth - 1)})", f"{a} BETWEEN {b} AND {a}", f"({a}, {b})", f"({a})",
        ])  # fmt: skip

    def relation(rng: random.Random, depth: int) -> str:
        match rng.randrange(9):
            case 0 | 1 | 2 | 3:
                return rng.choice(views)
            case 4:
                return f"{rng.choice(tables)}({', '.join(value(rng, 0) for _ in range(rng.randrange(4)))})"
            case 5:
                return rng.choice(FILES)
            case 6:
                return f"({query(rng, depth - 1)}) q"
            case 7:
                macro = rng.choice(
                    ["spearman", "mann_whitney", "bootstrap_ci", "partial_spearman", "query", "query_table", "range"]
                )
                return (
                    f"{macro}({rng.choice(['samples', *views])!r}, {value(rng, 0)}, {value(rng, 1)}, {value(rng, 0)})"
                )
            case _:
                how = rng.choice(["JOIN", "LEFT JOIN", "CROSS JOIN", "SEMI JOIN", "POSITIONAL JOIN", "ASOF JOIN", ","])
                return f"{rng.choice(views)} {how} {rng.choice(views)}" + rng.choice(
                    [" USING (run)", "", f" ON {value(rng, 1)}"]
                )

    def query(rng: random.Random, depth: int) -> str:
        if depth <= 0:
            return f"SELECT {value(rng, 0)} FROM {rng.choice(views)}"
        chosen = ", ".join(value(rng, depth) for _ in range(rng.randrange(1, 4)))
        parts = [f"SELECT {rng.choice(['', 'DISTINCT ', 'ALL '])}{chosen}"]
        parts.append(f"FROM {relation(rng, depth)}")
        for text in ("WHERE", "GROUP BY", "HAVING", "QUALIFY", "ORDER BY", "LIMIT", "OFFSET", "USING SAMPLE"):
            if rng.random() < 0.2:
                parts.append(f"{text} {rng.choice(['ALL', value(rng, depth - 1)])}")
        text = " ".join(parts)
        if rng.random() < 0.15:
            name = f"{rng.choice(['', 'RECURSIVE '])}{rng.choice([*views, 'a', 'b'])}"
            text = f"WITH {name} AS ({query(rng, depth - 1)}) {text}"
        if rng.random() < 0.1:
            text += f" {rng.choice(['UNION', 'UNION ALL BY NAME', 'EXCEPT', 'INTERSECT'])} {query(rng, depth - 1)}"
        return text

    def make(rng: random.Random) -> str:
        kind = rng.random()
        if kind < 0.15:
            text = rng.choice(HOSTILE).replace("{{", "{").replace("}}", "}")
        elif kind < 0.3:
            text = f"{rng.choice(WRITES)} {rng.choice([query(rng, 1), relation(rng, 1), value(rng, 1), *FILES])}"
        else:
            text = query(rng, rng.choice([1, 2, 2, 3]))
        if rng.random() < 0.25:  # tokens lost, doubled or exchanged
            words = text.split(" ")
            for _ in range(rng.choice([1, 2, 4])):
                i = rng.randrange(len(words))
                words[i] = rng.choice(
                    [
                        "",
                        f"{words[i]} {words[i]}",
                        rng.choice(words),
                        "(",
                        ")",
                        ";",
                        "--",
                        "/*",
                        "'",
                        '"',
                        "\x00",
                        "$$",
                        ",",
                    ]
                )
            text = " ".join(words)
        if rng.random() < 0.02:
            text = rng.choice(
                [
                    "(" * 3000,
                    "SELECT " + "-" * 5001 + "1",
                    "SELECT " + "(" * 900 + "1" + ")" * 900,
                    "SELECT " + "1+" * 4000 + "1",
                ]
            )
        return text.replace("{dir}", str(folder))

    def run(given: str) -> None:
        left = set(folder.iterdir())
        with catalog.stream(given, seconds=SECONDS) as reader:
            for _ in zip(range(20), reader, strict=False):
                pass
        assert set(folder.iterdir()) == left, "it left a file"

    return Target("sql", make, run, folder)
