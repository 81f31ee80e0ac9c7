"""Task: the study's answers as artifacts in the Prefect UI."""

import base64
import math
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from kpe_core.catalog.analyses import analyses
from kpe_core.catalog.catalog import Catalog
from kpe_core.report.files import ReportFiles
from kpe_core.report.findings import MARKS
from kpe_core.store.store import Store
from kpe_core.study.specs import Study
from tasks.common import OPTIONS, slug
from tasks.markdown import plain, plain_cells

MOST_ROWS = 200


@task(name="publish", task_run_name="publish the answers", **OPTIONS)
def publish(store: str, study: dict[str, Any]) -> dict[str, int]:
    """One markdown artifact with findings and figures, one table for each analysis, one for the quality checks.

    Keys carry the study's name and stay the same from run to run, so that their history is a time series.
    """
    where, spec = Store(store), Study.model_validate(study)
    name = slug(spec.name)
    create_markdown_artifact(_landing(where, spec), key=f"findings-{name}", description=plain(spec.title or spec.name))
    with Catalog(where) as catalog:
        for analysis in analyses():
            rows = rows_of(analysis.run(catalog, spec.name))
            create_table_artifact(rows, key=f"{slug(analysis.name)}-{name}", description=analysis.answers)
        checks = catalog.query(
            "SELECT m.run_label AS run, suite, expectation, success, observed, threshold, severity, failed, rows, accepted "
            "FROM checks JOIN study_runs m USING (run) WHERE m.study = $study "
            "ORDER BY success, severity, position, suite",
            study=spec.name,
        )
        rows = rows_of(checks, at_most=checks.num_rows)
        create_table_artifact(rows, key=f"checks-{name}", description="What the quality gate saw")
    return {"analyses": len(analyses()), "checks": checks.num_rows}


def rows_of(table: pa.Table, at_most: int = MOST_ROWS) -> list[dict[str, Any]]:
    """Rows a table artifact can hold: four significant digits, no NaN, times and texts as they are, long tables thinned."""
    stride = max(1, math.ceil(table.num_rows / max(1, at_most)))
    return [plain_cells({key: _number(v) for key, v in row.items()}) for row in table.to_pylist()[::stride]]


def _number(value: Any) -> Any:
    if isinstance(value, float | Decimal):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value.isoformat(sep=" ", timespec="seconds") if isinstance(value, datetime) else value


def _landing(store: Store, study: Study) -> str:
    """Findings by claim, then figures as data URIs, since the UI loads images by URL only."""
    files = ReportFiles(store, study.name)
    lines = [
        f"# {plain(study.title or study.name)}",
        "",
        "✓ holds · ◐ in part · ✗ fails · measured, nothing published",
        "",
    ]
    topic = ""
    for finding in files.findings():
        if finding["topic"] != topic:
            topic = finding["topic"]
            lines += ["", f"### {topic}"]
        lines.append(f"- {MARKS[finding['verdict']]} {plain(finding['sentence'])}")
    lines += ["", f"Report: {plain(files.html_path)}", ""]
    for figure in files.figures():
        data = base64.b64encode(files.png(figure["name"])).decode()
        lines += [
            f"## {plain(figure['title'])}",
            plain(figure["caption"]),
            "",
            f"![{plain(figure['title'])}](data:image/png;base64,{data})",
            "",
        ]
    return "\n".join(lines)
