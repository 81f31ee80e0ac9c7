"""sql/README.md is what the SQL says, and the SQL says what there is: renaming a column makes this fail."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kpe_core.catalog import catalog as catalog_module
from kpe_core.catalog import described as described_module
from kpe_core.catalog.analyses import Analysis, analyses, analysis
from kpe_core.catalog.catalog import VIEWS, Catalog
from kpe_core.catalog.described import SQL, described, macros
from kpe_core.catalog.documentation import README, render, views
from kpe_core.store.store import Store


@pytest.fixture(scope="module")
def catalog(tiny_store: Store) -> Iterator[Catalog]:
    with Catalog(tiny_store) as open_catalog:
        yield open_catalog


def test_readme_is_up_to_date(catalog: Catalog) -> None:
    assert README.read_text(encoding="utf-8") == render(catalog), "`make docs` writes it again"


def test_every_view_is_there_with_all_its_columns(catalog: Catalog) -> None:
    assert sorted(p.stem for p in (SQL / "views").glob("*.sql")) == sorted(VIEWS)
    for view in views(catalog):
        assert len(view.about) > 20
        live = catalog.query(f"SELECT * FROM {view.name} LIMIT 0").column_names
        assert [column.name for column, _ in view.columns] == live
        assert all(column.about for column, _ in view.columns)


@pytest.mark.parametrize("name", [a.name for a in analyses()])
def test_analyses_document_the_columns_they_give(catalog: Catalog, name: str) -> None:
    chosen = analysis(name)
    assert [c.name for c in chosen.outputs] == chosen.run(catalog, "tiny").column_names
    assert len(chosen.answers) > 20


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("views/samples.sql", "AS gap_ratio", "AS gap"),
        ("views/runs.sql", "AS nfe,", "AS evaluations_asked,"),
        ("views/study_runs.sql", "experiment,  --", "experiment AS part,  --"),
    ],
)
def test_a_renamed_column_is_noticed(
    tiny_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, old: str, new: str
) -> None:
    text = (SQL / file).read_text()
    assert old in text
    folder = tmp_path / "sql"
    for path in [SQL / "macros.sql", *(SQL / "views").glob("*.sql")]:
        (folder / path.relative_to(SQL)).parent.mkdir(parents=True, exist_ok=True)
        (folder / path.relative_to(SQL)).write_text(path.read_text())
    (folder / file).write_text(text.replace(old, new))
    for module in (catalog_module, described_module):
        monkeypatch.setattr(module, "SQL", folder)
    with Catalog(tiny_store) as renamed:
        assert render(renamed) != README.read_text(encoding="utf-8")


def test_a_column_nobody_describes_is_an_error(
    tiny_store: Store, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    about, columns = described("scores")
    for changed, says in (
        ({k: c for k, c in columns.items() if k != "low"}, "nothing describes low"),
        (columns | {"lower": columns["low"]}, "no column lower"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(
                "kpe_core.catalog.documentation.described",
                lambda view, changed=changed: (about, changed) if view == "scores" else described(view),
            )
            with pytest.raises(ValueError, match=says):
                views(catalog)


def test_a_renamed_answer_is_noticed(catalog: Catalog) -> None:
    chosen = analysis("early_late")
    renamed = Analysis(**(vars(chosen) | {"sql": chosen.sql.replace("AS late_share", "AS share_late")}))
    assert [c.name for c in renamed.outputs] != renamed.run(catalog, "tiny").column_names


def test_duckdb_itself_tells_what_things_are(catalog: Catalog) -> None:
    sql = "SELECT view_name FROM duckdb_views() WHERE NOT internal AND comment IS NOT NULL"
    assert set(VIEWS) <= {row["view_name"] for row in catalog.query(sql).to_pylist()}
    sql = "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'samples'"
    told = {row["column_name"]: row["comment"] for row in catalog.query(sql).to_pylist()}
    assert None not in told.values()
    assert told["path_length"] == "Σ‖Δx‖ along the path [coordinate]"
    sql = "SELECT function_name, comment FROM duckdb_functions() WHERE comment IS NOT NULL"
    said = {row["function_name"]: row["comment"] for row in catalog.query(sql).to_pylist()}
    assert {macro.name for macro in macros()} <= set(said)
    assert said["mann_whitney"].startswith("mann_whitney(relation, x, first, per): Mann and Whitney's test")
