"""The whole report of a real, tiny study: a 2-D set under the exact field, digits under a shaped network."""

import io

import pytest
from PIL import Image

from kpe_core.catalog.catalog import Catalog
from kpe_core.report.build import Report, build
from kpe_core.report.figures import data_uri, figures
from kpe_core.report.findings import as_dicts
from kpe_core.store.store import Store
from kpe_core.study.specs import Study


@pytest.fixture(scope="module")
def report(tiny: Study, tiny_store: Store) -> Report:
    return build(tiny_store, tiny)


def test_figures_are_pictures_with_something_on_them(report: Report) -> None:
    names = [figure.name for figure in report.figures]
    assert names == [
        "energy-density", "energy-strata", "planar-energy", "energy-extremes", "copies", "memorized-energy",
        "semantics-energy", "shaping-tradeoff", "power", "cumulative-energy", "energy-histograms",
        "theorem-4-2",
    ]  # fmt: skip
    for figure in report.figures:
        picture = Image.open(io.BytesIO(figure.png)).convert("L")
        low, high = picture.getextrema()
        assert (low, high) != (255, 255)
        assert min(picture.size) > 300
        assert figure.title
        assert figure.caption
        assert data_uri(figure.png) in report.html


def test_claims_of_both_kinds_of_run_are_judged(report: Report) -> None:
    topics = {f.topic for f in report.findings}
    assert {"Sparse third above dense third (2-D)", "Score and margin rise with energy"} <= topics
    assert "Landing lowers memorization" in topics
    for finding in report.findings:
        assert finding.analysis in report.answers
        assert f'id="answer-{finding.analysis}"' in report.html


def test_page_is_self_contained_and_small(report: Report) -> None:
    assert "http://" not in report.html
    assert "https://" not in report.html
    assert len(report.html) < 6_000_000


def test_same_store_gives_the_same_report(report: Report, tiny: Study, tiny_store: Store) -> None:
    again = build(tiny_store, tiny)
    assert as_dicts(again.findings) == as_dicts(report.findings)
    assert [f.png for f in again.figures] == [f.png for f in report.figures]
    assert again.html == report.html


def test_a_study_without_runs_has_a_page_and_no_figures(tiny: Study, tiny_store: Store) -> None:
    nameless = tiny.model_copy(update={"name": "never-run"})
    with Catalog(tiny_store) as catalog:
        assert figures(tiny_store, catalog, nameless) == []
    assert "never-run" in build(tiny_store, nameless).html
