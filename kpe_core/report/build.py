"""A study's report, every piece of it at once; files.py keeps them in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from kpe_core.catalog.catalog import Catalog
from kpe_core.report.findings import Finding, findings
from kpe_core.report.material import answers_of, material
from kpe_core.store.store import Store
from kpe_core.study.specs import Study

if TYPE_CHECKING:
    from kpe_core.report.drawing import FigureEntry


@dataclass(frozen=True)
class Report:
    """The pieces of a report, for whoever publishes them elsewhere too."""

    answers: dict[str, pa.Table]
    """Every analysis' table, by the analysis' name."""
    findings: list[Finding]
    figures: list[FigureEntry]
    html: str
    """The whole page, self-contained."""


def build(store: Store, study: Study) -> Report:
    """Ask every analysis, judge the claims, draw the figures, render the page. Writes nothing."""
    # matplotlib and jinja2 come with these; whoever only wants findings should not wait for them.
    from kpe_core.report.figures import figures
    from kpe_core.report.html import render

    with Catalog(store) as catalog:
        answers = answers_of(catalog, study.name)
        found = findings(answers)
        drawn = figures(store, catalog, study, answers)
        page = render(study, answers, found, drawn, material(store, catalog, study.name))
    return Report(answers, found, drawn, page)
