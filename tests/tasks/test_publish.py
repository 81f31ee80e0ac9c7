"""Artifacts hold plain numbers, stable keys, and the figures themselves."""

import json
from datetime import datetime
from decimal import Decimal

import pyarrow as pa

from kpe_core.catalog.analyses import analyses
from kpe_core.catalog.catalog import Catalog
from kpe_core.report.files import ReportFiles
from kpe_core.store.store import Store
from kpe_core.study.specs import Study
from tasks.common import slug
from tasks.publish import MOST_ROWS, _landing, rows_of


def test_rows_are_plain_and_few() -> None:
    table = pa.table({"x": [1 / 3, float("nan"), float("inf")], "n": [1, None, 3], "s": ["a", "b", "c"]})
    assert rows_of(table) == [
        {"x": 0.3333, "n": 1, "s": "a"},
        {"x": None, "n": None, "s": "b"},
        {"x": None, "n": 3, "s": "c"},
    ]
    long = pa.table({"step": list(range(10 * MOST_ROWS + 1))})
    assert len(rows_of(long)) <= MOST_ROWS
    assert rows_of(long)[0] == {"step": 0}


def test_every_answer_of_a_study_is_json(tiny: Study, tiny_store: Store) -> None:
    """Prefect stores rows as JSON: times among them, as quality_history has."""
    with Catalog(tiny_store) as catalog:
        for analysis in analyses():
            json.dumps(rows_of(analysis.run(catalog, tiny.name)), allow_nan=False)
    at = pa.table({"finalised": [datetime(2026, 1, 2, 3, 4, 5, 678)]})
    assert rows_of(at) == [{"finalised": "2026-01-02 03:04:05"}]
    json.dumps(rows_of(pa.table({"share": [Decimal("0.3734")]})), allow_nan=False)


def test_keys_are_what_the_ui_accepts() -> None:
    assert slug("KPE_quantiles (first look) — ρ") == "kpe-quantiles-first-look"


def test_landing_page_carries_findings_and_figures(tiny: Study, tiny_store: Store) -> None:
    ReportFiles(tiny_store, tiny.name).write(tiny)
    text = _landing(tiny_store, tiny)
    assert text.startswith("# A tiny study")
    assert "### Energy is high at low density" in text
    assert text.count("](data:image/png;base64,") >= 5
    assert "http" not in text
