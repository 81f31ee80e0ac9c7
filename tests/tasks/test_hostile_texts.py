"""Texts that mean harm, wherever a user's text goes, in a real browser: nothing of them runs."""

import html
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt

from flows.performance import Performance, path_of
from kpe_core.report.files import ReportFiles
from kpe_core.stages.accept import accept
from kpe_core.store.store import Store
from kpe_core.study.specs import Study
from tasks.markdown import plain, plain_cells
from tasks.moved import Move, _scores
from tasks.publish import _landing
from tasks.quality.judge import judge
from tests.conftest import run_serially

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
RUNS = "document.title='pwned'"
HOSTILE = (
    f"<script>{RUNS}</script>", f'<img src=x onerror="{RUNS}">', f'"><svg onload="{RUNS}">', f"'><script>{RUNS}</script>",
    f"</title></style></script><script>{RUNS}</script>", f"[x](javascript:{RUNS})", f"![x](y\" onerror=\"{RUNS})",
    f"<javascript:{RUNS}>", f"[x]: javascript:{RUNS}", f"<iframe srcdoc='<script>parent.{RUNS}</script>'>", "{{ 7 * 7 }}",
    f"<details open ontoggle={RUNS}>", "$\\frac{$ ${x} $x %s \\[x](y)", f"`<script>{RUNS}</script>`", "| a | b |",
    "--> ]]>",
)  # fmt: skip
ALL = " ".join(HOSTILE)
NO_FACTS = " | ".join(text for text in HOSTILE if "$" not in text)
"""A word with a dollar sign in front stands for a fact of the run."""


def shown(page: Path) -> str:
    """The page as a browser has it once its scripts, if any, have run."""
    assert CHROMIUM is not None
    profile = f"--user-data-dir={page.parent / 'profile'}"
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=2000",
        profile,
    ]
    ended = subprocess.run(
        [CHROMIUM, *options, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120
    )
    assert "<body" in ended.stdout, ended.stderr
    return ended.stdout


def require_harmless(page: Path, escaped: bool = True) -> None:
    """``escaped``: also where a browser heeds no policy."""
    without = page.with_name(f"bare-{page.name}")
    without.write_text(re.sub(r"<meta http-equiv=.Content-Security-Policy.[^>]*>", "", page.read_text()))
    for each in (page, without) if escaped else (page,):
        dom = shown(each)
        assert "<title>pwned</title>" not in dom
        assert not re.search(r"""(href|src|action)\s*=\s*["']?\s*javascript:""", dom, re.IGNORECASE)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Pictures whose classes, and a study all of whose free texts, are hostile."""
    folder = tmp_path_factory.mktemp("<img src=x onerror=1>")
    rng, n = np.random.default_rng(0), len(HOSTILE)
    y = np.arange(20 * n) % n
    np.savez(folder / "x.npz", x=rng.normal(size=(20 * n, 8, 8)).astype(np.float32) + y[:, None, None], y=y)
    (folder / "classes.txt").write_text("\n".join(name.replace(",", ";") for name in HOSTILE))
    planar = {
        "name": "planar", "data": {"name": "array", "root": str(folder / "x.npz")}, "expect": ALL,
        "fields": {"kind": "exact", "conditional": True}, "sampling": {"n_samples": 4 * n, "nfe": 4, "batch": 2 * n},
        "measure":
            {"bootstrap": 100, "probe": 0, "spaces": [{"extractor": "pca", "components": 2, "semantics": "prototypes"}]},
    }  # fmt: skip
    args = {"column": "kpe", "max_value": -1}
    quality = [
        {"table": "samples", "means": ALL, "expectation": "expect_column_values_to_be_between", "args": args,
         "allowed": NO_FACTS},
        {"table": "samples", "means": f"in {ALL}", "expectation": "expect_column_values_to_be_in_set",
         "args": {"column": "kpe", "value_set": NO_FACTS.split(" | ")}, "severity": "warning"},
        {"table": "samples", "means": f"like {ALL}", "expectation": "expect_column_values_to_match_regex",
         "args": {"column": "kpe", "regex": f"({NO_FACTS}"}, "severity": "warning"},
    ]  # fmt: skip
    return Study.model_validate({"name": "hostile", "title": ALL, "experiments": [planar], "quality": quality})


@pytest.fixture(scope="module")
def store(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The study, run, judged, quarantined for its texts, and accepted for a hostile reason."""
    found = Store.create_or_open(str(tmp_path_factory.mktemp("hostile") / "<script>x<"))
    (run,) = run_serially(study, found)
    found.remove(f"runs/{run.run_id}/manifest.json")
    failed = judge(found, [run], study.name, study.quality)
    assert any(RUNS in text for text in failed[run.run_id])
    accept(found, run.run_id, ALL, ALL)
    return found


needs_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


@needs_a_browser
def test_the_browser_would_run_them(tmp_path: Path) -> None:
    for i, text in enumerate(HOSTILE[:5]):
        (tmp_path / f"{i}.html").write_text(f"<html><head><title>x</title></head><body>{text}</body></html>")
    assert ["pwned</title>" in shown(tmp_path / f"{i}.html") for i in range(4)] == [True] * 4


@needs_a_browser
def test_report(study: Study, store: Store) -> None:
    page = Path(ReportFiles(store, study.name).write(study))
    text = page.read_text()
    assert html.escape(HOSTILE[0], quote=False).replace("'", "&#39;") in text, "the title is on the page"
    require_harmless(page)
    # Even what was not escaped would not run.
    (page.parent / "worse.html").write_text(text.replace("</h1>", f"{HOSTILE[0]}{HOSTILE[1]}</h1>"))
    require_harmless(page.parent / "worse.html", escaped=False)


@needs_a_browser
def test_its_own_script_still_runs(study: Study, store: Store) -> None:
    page = Path(ReportFiles(store, study.name).write(study))
    assert '<button class="copy">' in shown(page)


@needs_a_browser
def test_data_docs(store: Store, tmp_path: Path) -> None:
    pages = sorted(Path(store.root, "quality/docs").rglob("*.html"))
    assert {"index.html", "samples.html"} <= {page.name for page in pages}
    for page in pages:
        if "pwned" in page.read_text():
            require_harmless(page)
            worse = page.with_name(f"worse-{page.name}")
            worse.write_text(page.read_text().replace("</body>", f"{HOSTILE[0]}{HOSTILE[1]}</body>"))
            require_harmless(worse, escaped=False)


@needs_a_browser
@pytest.mark.parametrize("text", [*HOSTILE, ALL])
def test_markdown_by_a_renderer_that_lets_everything_through(text: str) -> None:
    renderer = MarkdownIt("commonmark", {"html": True}).enable("table")
    renderer.validateLink = lambda url: True  # type: ignore[method-assign]
    for line in (
        plain(text),
        f"# {plain(text)}",
        f"- {plain(text)}",
        f"| a |\n|---|\n| {plain(text)} |",
        f"![{plain(text)}](data:,)",
    ):
        made = renderer.render(line)
        assert not re.search(r"<(script|svg|iframe|details|a|javascript)\b", made), made
        assert not re.search(r"<img(?! src=\"data:,\" alt=\"[^\"]*\" />)", made), made
    assert " ".join(text.split()) in html.unescape(re.sub(r"</?p>", "", renderer.render(plain(text)))), "and shows it"


@needs_a_browser
def test_artifacts(study: Study, store: Store, tmp_path: Path) -> None:
    ReportFiles(store, study.name).write(study)
    renderer = MarkdownIt("commonmark", {"html": True}).enable("table")
    renderer.validateLink = lambda url: True  # type: ignore[method-assign]
    moved = _scores([Move(ALL, ALL, 1.0, 2.0, 3.0)])
    (tmp_path / "a.html").write_text(renderer.render(_landing(store, study) + "\n" + "\n".join(moved)))
    require_harmless(tmp_path / "a.html")
    assert "pwned" in (tmp_path / "a.html").read_text()


def test_cells_are_plain_in_lists_too() -> None:
    row: dict[str, Any] = {"a": "[x](y)", "b": ["<b>"], "c": 1.5, "d": None}
    assert plain_cells(row) == {"a": "\\[x\\](y)", "b": ["\\<b\\>"], "c": 1.5, "d": None}


@needs_a_browser
def test_performance_page(tmp_path: Path) -> None:
    """Dask's own page, of tasks with hostile keys; ours are named after the task alone."""
    from distributed import Client, LocalCluster

    local = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=1, threads_per_worker=1, **local) as cluster, Client(cluster) as client:
        performance = Performance(client)
        client.gather([client.submit(time.sleep, 0.1, key=f"{text} {i}") for i, text in enumerate(HOSTILE)])
        performance.keep(store := Store.create_or_open(str(tmp_path / "store")), "hostile")
    page = Path(store.path(path_of("hostile")))
    assert "pwned" in page.read_text()
    assert "<title>pwned</title>" not in shown(page)
