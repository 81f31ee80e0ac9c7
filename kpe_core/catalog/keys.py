"""Which keys a query needs, found before the trajectories are read.

DuckDB hands a scan its filter only where it compares columns with constants. What a join, a subquery or a lower bound on t
says of the keys is worked out here first, from the tables, and put beside the view's name: ``trajectory`` becomes
``(SELECT … FROM zarr_trajectory WHERE run IN (…) AND …)``. The rest of the query stays as it is, so the answer does.

Pushed: ``key IN (SELECT …)`` and ``key = (SELECT …)`` among the conditions joined by AND; inner and semi joins on run,
sample, state or coordinate with views, subqueries or WITH queries, together with the conditions on these; t > c, t >= c
and BETWEEN. Not pushed: the same below OR or NOT, outer and lateral joins, and anything that itself reads trajectories.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from kpe_core.catalog.guard import Tree, parse

LAZY = {"trajectory": "run, sample, state, t, coordinate, x", "states": "run, sample, state, t, x"}
"""Views that are read from Zarr, with their columns."""
KEYS = ("run", "sample", "state", "coordinate")
MOST_KEYS = 20_000
"""Keys handed to a scan one by one; of more, their range."""

_VOLATILE = {"random", "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "setseed"}
_CUTS = {"LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER"}


class KeyResolver:
    """Rewrites one statement; the tables it makes for subqueries live until ``close``."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._made: list[str] = []

    def close(self) -> None:
        for name in self._made:
            self._con.unregister(name)
        self._made.clear()

    def resolve(self, sql: str, tree: Tree) -> str:
        """The statement to run in place of ``sql``, whose syntax tree is ``tree``."""
        if not _reads_lazily(tree["statements"]):
            return sql
        tree = copy.deepcopy(tree)
        explain = tree.pop("explain")
        for statement in tree["statements"]:
            self._visit(statement["node"], [])
        rewritten = explain + self._text(tree)
        return rewritten if self._binds(rewritten) else sql

    # -- walking -------------------------------------------------------------------------------------------------

    def _visit(self, node: Any, ctes: list[Tree]) -> None:
        """Rewrite every SELECT from the inside out; ``ctes`` are the WITH queries seen so far."""
        if isinstance(node, list):
            for each in node:
                self._visit(each, ctes)
        if not isinstance(node, dict):
            return
        for entry in node.get("cte_map", {}).get("map", []):
            self._visit(entry["value"], ctes)
            ctes = [*ctes, entry]
        for key, value in node.items():
            if key != "cte_map":
                self._visit(value, ctes)
        if node.get("type") == "SELECT_NODE":
            self._select(node, ctes)

    def _select(self, node: Tree, ctes: list[Tree]) -> None:
        leaves = list(_leaves(node["from_table"]))
        targets = [leaf for leaf in leaves if _is_lazy(leaf, ctes)]
        if not targets:
            return
        self._subqueries(node, ctes)
        sides = [leaf for leaf in leaves if not _reads_lazily(leaf) and not self._is_endless(leaf, ctes)]
        conditions = list(_conjuncts(node["where_clause"]))
        for leaf in targets:
            bounds = [*self._times(leaf, leaves, conditions, ctes)]
            for side in sides:
                if pairs := _pairs(node["from_table"], leaf, side, conditions):
                    # Of a semi join's right side the conditions do not speak, even where they use a name it has.
                    about = [] if _is_hidden(node["from_table"], side) else conditions
                    bounds += self._joined(side, pairs, about, ctes)
            if bounds:
                self._narrow(leaf, " AND ".join(bounds))

    def _narrow(self, leaf: Tree, where: str) -> None:
        """Turn the leaf into a subquery of the same name that reads less."""
        if leaf["column_name_alias"] or leaf["sample"]:
            return
        name = leaf["table_name"].lower()
        alias = leaf["alias"] or leaf["table_name"]
        sql = f'SELECT * FROM (SELECT {LAZY[name]} FROM zarr_{name} WHERE {where}) AS "{alias}"'
        found = parse(self._con, sql)["statements"][0]["node"]["from_table"]
        leaf.clear()
        leaf.update(found)

    # -- subqueries ----------------------------------------------------------------------------------------------

    def _subqueries(self, node: Tree, ctes: list[Tree]) -> None:
        """Replace uncorrelated subqueries about a key by what they give."""
        for condition in _conjuncts(node["where_clause"]):
            if condition["class"] == "SUBQUERY" and condition["subquery_type"] == "ANY":
                if condition["comparison_type"] == "COMPARE_EQUAL" and _key_of(condition["child"]):
                    self._membership(condition, ctes)
            elif condition["class"] == "COMPARISON":
                for key, other in (("left", "right"), ("right", "left")):
                    subquery = condition[other]
                    if _key_of(condition[key]) and subquery["class"] == "SUBQUERY":
                        values = self._values(subquery, ctes) if subquery["subquery_type"] == "SCALAR" else None
                        if values is not None and len(values) == 1:
                            condition[other] = self._expression(_literal(values[0]))

    def _membership(self, condition: Tree, ctes: list[Tree]) -> None:
        values = self._values(condition["subquery"], ctes, wrapped=True)
        if values is None or len(values) > MOST_KEYS:
            return
        listed = ", ".join(_literal(v) for v in values)
        found = self._expression(f"x IN ({listed})" if values else "false")
        if values:
            found["children"][0] = condition["child"]
        condition.clear()
        condition.update(found)

    def _values(self, subquery: Tree, ctes: list[Tree], wrapped: bool = False) -> list[Any] | None:
        """The one column a subquery gives; None where it is correlated, reads trajectories or gives no keys."""
        node = subquery["node"] if wrapped else subquery["subquery"]["node"]
        if _reads_lazily(node):
            return None
        table = self._ask(node, ctes)
        if table is None or table.num_columns != 1 or not _holds_keys(table.schema.field(0).type):
            return None
        return None if table[0].null_count else table[0].unique().to_pylist() if wrapped else table[0].to_pylist()

    # -- joins ---------------------------------------------------------------------------------------------------

    def _joined(self, side: Tree, pairs: Mapping[str, str], conditions: list[Tree], ctes: list[Tree]) -> Iterator[str]:
        """Bounds on a view's keys from the distinct keys of the other side of a join."""
        if not self._settle(side, ctes):
            return
        select = ", ".join(f'{_qualified(side)}."{column}" AS "{key}"' for key, column in pairs.items())
        query = self._statement(f"SELECT DISTINCT {select} FROM x", ctes)
        node = query["statements"][0]["node"]
        node["from_table"] = copy.deepcopy(side)
        kept: list[Tree] = []
        for condition in conditions:
            if not _reads_lazily(condition) and _is_steady(condition):
                node["where_clause"] = _all_of([*kept, copy.deepcopy(condition)])
                if self._binds(self._text(query)):
                    kept.append(copy.deepcopy(condition))
        node["where_clause"] = _all_of(kept)
        table = self._run(self._text(query))
        if table is not None and all(_holds_keys(f.type) for f in table.schema):
            yield from _bounds(table)

    def _settle(self, side: Tree, ctes: list[Tree]) -> bool:
        """Make sure that the side gives the same rows each time it is read: a subquery or WITH query becomes a table."""
        if side["sample"] is not None:
            return False
        if side["type"] == "SUBQUERY":
            name = self._table(side["subquery"]["node"], ctes)
            if name is None or side["column_name_alias"]:
                return False
            found = parse(self._con, f'SELECT * FROM {name} AS "{side["alias"] or name}"')
            side.clear()
            side.update(found["statements"][0]["node"]["from_table"])
            return True
        for i, entry in reversed(list(enumerate(ctes))):
            if side["type"] == "BASE_TABLE" and side["table_name"].lower() == entry["key"].lower():
                if (body := entry["value"])["aliases"]:
                    return False
                name = self._table(body["query_node"], ctes[:i])
                if name is None:
                    return False
                body["query_node"] = parse(self._con, f"SELECT * FROM {name}")["statements"][0]["node"]
                return True
        return side["type"] == "BASE_TABLE"

    def _table(self, node: Tree, ctes: list[Tree]) -> str | None:
        """A table of what the query gives, unless that is large."""
        table = self._ask(node, ctes)
        if table is None or table.num_rows > 50 * MOST_KEYS:
            return None
        name = f"resolved_keys_{len(self._made)}"
        self._con.register(name, table)
        self._made.append(name)
        return name

    def _is_endless(self, leaf: Tree, ctes: list[Tree]) -> bool:
        """Whether the leaf is a recursive query, or one that reads trajectories."""
        named = [e for e in ctes if e["key"].lower() == leaf.get("table_name", "").lower()]
        return any("RECURSIVE" in e["value"]["query_node"]["type"] or _reads_lazily(e) for e in named)

    # -- time ----------------------------------------------------------------------------------------------------

    def _times(self, leaf: Tree, leaves: list[Tree], conditions: list[Tree], ctes: list[Tree]) -> Iterator[str]:
        """Lower bounds on t as bounds on its bits, which DuckDB passes on."""
        for condition in conditions:
            match condition["class"], condition["type"]:
                case "COMPARISON", "COMPARE_GREATERTHAN" | "COMPARE_GREATERTHANOREQUALTO":
                    column, bound = condition["left"], condition["right"]
                case "COMPARISON", "COMPARE_LESSTHAN" | "COMPARE_LESSTHANOREQUALTO":
                    column, bound = condition["right"], condition["left"]
                case "BETWEEN", "COMPARE_BETWEEN":
                    column, bound = condition["input"], condition["lower"]
                case _:
                    continue
            if self._is_time(column, leaf, leaves, ctes) and (value := self._constant(bound)) is not None:
                yield f"t_bits >= {int(np.float64(np.nextafter(value, -1.0)).view(np.int64))}"

    def _is_time(self, column: Tree, leaf: Tree, leaves: list[Tree], ctes: list[Tree]) -> bool:
        """Whether the expression is the leaf's t, and not that of another relation."""
        names = [n.lower() for n in column.get("column_names", [])]
        if names == [(leaf["alias"] or leaf["table_name"]).lower(), "t"]:
            return True
        if names != ["t"]:
            return False
        for other in leaves:
            if other is not leaf:
                query = self._statement("SELECT t FROM x", ctes)
                query["statements"][0]["node"]["from_table"] = copy.deepcopy(other)
                if self._binds(self._text(query)):
                    return False
        return True

    def _constant(self, expression: Tree) -> float | None:
        """The positive number an expression without columns gives."""
        called = [
            n["function_name"] for n in _nodes(expression) if n.get("class") == "FUNCTION" and not n["is_operator"]
        ]
        if called or any(n.get("class") == "SUBQUERY" for n in _nodes(expression)):
            return None
        query = self._statement("SELECT (1)::DOUBLE", [])
        query["statements"][0]["node"]["select_list"][0]["child"] = copy.deepcopy(expression)
        table = self._run(self._text(query))
        value = None if table is None or table.num_rows != 1 else table[0][0].as_py()
        return value if value is not None and 0 < value < np.inf else None

    # -- DuckDB --------------------------------------------------------------------------------------------------

    def _statement(self, sql: str, ctes: list[Tree]) -> Tree:
        tree = parse(self._con, sql)
        tree["statements"][0]["node"]["cte_map"]["map"] = copy.deepcopy(ctes)
        return tree

    def _expression(self, sql: str) -> Tree:
        return dict(parse(self._con, f"SELECT {sql}")["statements"][0]["node"]["select_list"][0])

    def _text(self, tree: Tree) -> str:
        text = json.dumps({k: v for k, v in tree.items() if k in ("error", "statements")})
        return str(self._con.execute("SELECT json_deserialize_sql($1::JSON)", [text]).fetchall()[0][0])

    def _ask(self, node: Tree, ctes: list[Tree]) -> pa.Table | None:
        tree = self._statement("SELECT 1", [])
        tree["statements"][0]["node"] = copy.deepcopy(node)
        inner = tree["statements"][0]["node"].setdefault("cte_map", {"map": []})
        inner["map"] = [*copy.deepcopy(ctes), *inner["map"]]
        return self._run(self._text(tree))

    def _binds(self, sql: str) -> bool:
        try:
            self._con.sql(sql)
        except duckdb.Error:
            return False
        return True

    def _run(self, sql: str) -> pa.Table | None:
        try:
            return self._con.sql(sql).to_arrow_table()
        except duckdb.InterruptException:
            raise
        except duckdb.Error:
            return None


# -- trees -----------------------------------------------------------------------------------------------------------


def _nodes(node: Any) -> Iterator[Tree]:
    if isinstance(node, list):
        for each in node:
            yield from _nodes(each)
    elif isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)


def _reads_lazily(node: Any) -> bool:
    """Whether a trajectory view is named anywhere below."""
    wanted = {*LAZY, *(f"zarr_{name}" for name in LAZY)}
    return any(n.get("type") == "BASE_TABLE" and n["table_name"].lower() in wanted for n in _nodes(node))


def _is_steady(node: Any) -> bool:
    """Whether it means the same each time it is evaluated."""
    return not any(
        n.get("function_name", "").lower() in _VOLATILE or n.get("type") in _CUTS or n.get("sample") is not None
        for n in _nodes(node)
    )


def _is_hidden(table: Tree, leaf: Tree) -> bool:
    """Whether the leaf is on the right of a semi join."""
    return any(join["join_type"] == "SEMI" and _within(join["right"], leaf) for join in _joins(table))


def _is_lazy(leaf: Tree, ctes: list[Tree]) -> bool:
    name = leaf.get("table_name", "").lower()
    return leaf["type"] == "BASE_TABLE" and name in LAZY and all(e["key"].lower() != name for e in ctes)


def _leaves(table: Tree) -> Iterator[Tree]:
    """Relations whose rows must match for a row to be in the answer: below inner joins, and semi joins' both sides."""
    if table["type"] != "JOIN":
        yield table
    elif _narrows(table):
        yield from _leaves(table["left"])
        yield from _leaves(table["right"])


def _narrows(join: Tree) -> bool:
    return join["join_type"] in ("INNER", "SEMI") and join["ref_type"] in ("REGULAR", "CROSS")


def _conjuncts(expression: Tree | None) -> Iterator[Tree]:
    if expression is None:
        return
    if expression["type"] == "CONJUNCTION_AND":
        for child in expression["children"]:
            yield from _conjuncts(child)
    else:
        yield expression


def _all_of(conditions: list[Tree]) -> Tree | None:
    if len(conditions) < 2:
        return conditions[0] if conditions else None
    return {
        "class": "CONJUNCTION", "type": "CONJUNCTION_AND", "alias": "", "query_location": 0, "query_location_length": 0,
        "children": conditions,
    }  # fmt: skip


def _key_of(expression: Tree) -> str | None:
    """The key column that the expression is."""
    names = expression.get("column_names") or [""]
    return names[-1].lower() if expression["class"] == "COLUMN_REF" and names[-1].lower() in KEYS else None


def _alias(leaf: Tree) -> str:
    return str(leaf["alias"] or leaf.get("table_name", "")).lower()


def _qualified(leaf: Tree) -> str:
    return f'"{leaf["alias"] or leaf["table_name"]}"'


def _pairs(table: Tree, leaf: Tree, side: Tree, conditions: list[Tree]) -> dict[str, str]:
    """Keys of the leaf with the side's columns that they must equal."""
    found: dict[str, str] = {}
    for join in _joins(table):
        for condition in _conjuncts(join["condition"]):
            _equate(condition, leaf, side, found)
        for ours, theirs in ((join["left"], join["right"]), (join["right"], join["left"])):
            if _within(ours, leaf) and _within(theirs, side):
                for column in join["using_columns"]:
                    if column.lower() in KEYS and _merged(ours, column) and _merged(theirs, column):
                        found[column.lower()] = column
    for condition in conditions:
        _equate(condition, leaf, side, found)
    return found


def _joins(table: Tree) -> Iterator[Tree]:
    if table["type"] == "JOIN" and _narrows(table):
        yield table
        yield from _joins(table["left"])
        yield from _joins(table["right"])


def _within(table: Tree, leaf: Tree) -> bool:
    return any(each is leaf for each in _leaves(table))


def _merged(table: Tree, column: str) -> bool:
    """Whether an unqualified ``column`` means the same in every relation below."""
    if table["type"] != "JOIN":
        return True
    using = column.lower() in (c.lower() for c in table["using_columns"])
    return using and _merged(table["left"], column) and _merged(table["right"], column)


def _equate(condition: Tree, leaf: Tree, side: Tree, found: dict[str, str]) -> None:
    """Note ``leaf.key = side.column``, either way round."""
    if condition["type"] != "COMPARE_EQUAL" or condition["class"] != "COMPARISON":
        return
    for ours, theirs in ((condition["left"], condition["right"]), (condition["right"], condition["left"])):
        names, others = ours.get("column_names", []), theirs.get("column_names", [])
        named = [n[0].lower() for n in (names, others) if len(n) == 2]
        if named == [_alias(leaf), _alias(side)] and names[1].lower() in KEYS:
            found[names[1].lower()] = others[1]


# -- keys ------------------------------------------------------------------------------------------------------------


def _holds_keys(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_integer(kind))


def _bounds(keys: pa.Table) -> Iterator[str]:
    """Conditions that every key in the table satisfies, and as few others as may be."""
    keys = keys.drop_null()
    if not keys.num_rows:
        yield "false"
        return
    names = keys.column_names
    if "run" in names and len(names) > 1 and keys.num_rows <= MOST_KEYS:
        yield _by_run(keys)
        return
    for name in names:
        values = keys[name].unique()
        if len(values) <= MOST_KEYS:
            yield f"{name} IN ({', '.join(_literal(v) for v in values.to_pylist())})"
        elif name != "run":
            column = values.to_numpy()
            yield f"{name} BETWEEN {column.min()} AND {column.max()}"


def _by_run(keys: pa.Table) -> str:
    frame = keys.to_pandas()
    terms = []
    for run, group in frame.groupby("run"):
        parts = [f"run = {_literal(run)}"]
        for name in (n for n in keys.column_names if n != "run"):
            parts.append(f"{name} IN ({', '.join(_literal(v) for v in sorted(set(group[name].tolist())))})")
        terms.append(f"({' AND '.join(parts)})")
    return f"({' OR '.join(terms)})"


def _literal(value: Any) -> str:
    return str(int(value)) if not isinstance(value, str) else "'" + value.replace("'", "''") + "'"
