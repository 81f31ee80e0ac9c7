"""A study's report, built once and written beside its runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from kpe_core.catalog.catalog import Catalog
from kpe_core.report.findings import Finding, as_dicts, findings
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


def write_report(store: Store, study: Study, report: Report | None = None) -> str:
    """Write ``studies/<name>/report.html`` and ``findings.json``; returns the page's path.

    ``report``: from ``build``, where the caller has it already.
    """
    report = report if report is not None else build(store, study)
    path = f"studies/{study.name}/report.html"
    store.write_json(f"studies/{study.name}/findings.json", as_dicts(report.findings))
    store.write(path, report.html.encode())
    return store.path(path)
