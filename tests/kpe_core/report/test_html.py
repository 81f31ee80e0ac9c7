"""The page: escaped, self-contained, legible with nothing in it."""

import re
from typing import Any

import pyarrow as pa
import pytest

from kpe_core.catalog.analyses import analyses
from kpe_core.report.drawing import FigureEntry, canvas, figure_png
from kpe_core.report.findings import findings
from kpe_core.report.html import MOST_ROWS, render
from kpe_core.report.material import Material, StudyRun
from kpe_core.study.specs import Study
from tests.kpe_core.report.answers import density, memorization, tables

HOSTILE = "<script>alert('$x$')</script>"
FACTS = {
    "n_train": 128, "scaling": "centered", "pool": 14, "scale": 2.0, "field": "mlp", "solver": "euler",
    "grid": "uniform", "nfe": 50, "alpha0": 0.01, "beta0": 0.0, "eta": None,
    "tau": 0.6, "launch": "constant", "landing": "exponential",
    "n_samples": 100, "seed": 0, "sampling_seconds": 1.234567,
}  # fmt: skip


@pytest.fixture
def study() -> Study:
    experiment = {"name": "e", "data": {"name": "digits"}, "fields": {"kind": "exact"}, "expect": HOSTILE}
    return Study.model_validate({"name": "trial", "title": HOSTILE, "experiments": [experiment]})


def page(study: Study, **rows: Any) -> str:
    answers = tables(**rows)
    facts = Material(
        runs=[StudyRun("0123456789abcdef", HOSTILE, "digits", FACTS, None)],
        missing=[{"label": HOSTILE, "run": "fedcba9876543210", "why": HOSTILE}],
        checks=[{"suite": "samples", "expectations": 3, "passed": 2, "warnings": 1, "errors": 0}],
        failed_checks=[
            {"run_label": HOSTILE, "suite": "samples", "expectation": HOSTILE, "observed": None, "threshold": "< 1"}
            | {"severity": "error", "accepted": HOSTILE}
        ],
        provenance=[("git", HOSTILE)],
    )
    picture = FigureEntry("a", HOSTILE, HOSTILE, figure_png(canvas(1, 1)))
    return render(study, answers, findings(answers), [picture], facts)


def test_labels_are_escaped_everywhere(study: Study) -> None:
    rows = [density(HOSTILE, rho=-0.65, low=-0.7, high=-0.6)]
    text = page(study, density_correlation=rows, memorization=[memorization(HOSTILE)])
    assert text.count("<script") == 1  # the page's own
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;") >= 10


def test_page_asks_nothing_of_the_network(study: Study) -> None:
    text = page(study, density_correlation=[density(rho=-0.65, low=-0.7, high=-0.6)])
    assert not re.search(r"https?://|src=\"//|url\(|@import|<link", text)
    assert set(re.findall(r'src="([^,]*),', text)) == {"data:image/png;base64"}
    assert set(re.findall(r'href="(.)', text)) == {"#"}
    targets, anchors = set(re.findall(r'href="#([^"]*)"', text)), set(re.findall(r'id="([^"]*)"', text))
    assert targets <= anchors


def test_page_tells_runs_checks_and_sql(study: Study) -> None:
    text = page(study, density_correlation=[density(rho=None, low=None, high=None)])
    assert "digits, 128 points (14 px, centered ×2)" in text
    assert "α₀ 0.01, launch constant" in text
    assert "1.235" in text
    assert "<details><summary>SQL of <code>density_correlation</code>" in text
    assert "-- title: Energy against density" in text
    assert "Warnings" in text


def test_long_answers_are_thinned_and_say_so(study: Study) -> None:
    profile = [{"run_label": run, "step": i, "power": float(i)} for run in ("a", "b") for i in range(500)]
    text = page(study, energy_profile=profile)
    assert f"Shown: {MOST_ROWS} of 1000 rows" in text
    assert (
        len(re.findall(r'<td class="number" data-key="499(?:\.0)?">499</td>', text)) == 4
    )  # each run's last step and its power


def test_page_with_nothing_in_it(study: Study) -> None:
    empty = {a.name: pa.table({"run_label": pa.array([], pa.string())}) for a in analyses()}
    text = render(study, empty, [], [], Material(runs=[]))
    assert "Nothing in this study speaks to a published claim." in text
    assert "There is nothing to draw yet." in text
    assert "No checks are recorded" in text


def test_the_grid_shows_a_finding_of_every_space(study: Study) -> None:
    rows = [density("a", rho=-0.65, low=-0.7, high=-0.6), density("a", space="pca", rho=0.11, low=0.05, high=0.17)]
    grid = page(study, density_correlation=rows).split("glance")[-1].split("</table>")[0]
    assert re.findall(r'class="chip (\w+)"', grid) == ["holds", "fails"]
