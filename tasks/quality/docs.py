"""Data Docs as they are published: pages that load nothing from elsewhere, under one index of runs by their names.

Great Expectations' own pages fetch styles and scripts from eight other hosts, and its index is blank without them.
"""

import re
from html import escape
from typing import Any
from urllib.parse import quote

from kpe_core.stages.manifest import manifests
from kpe_core.store.store import Store
from kpe_core.study.runs import Run
from tasks.quality.style import STYLE

Checks = list[dict[str, Any]]
FOLDER = "quality/docs"


def docs_index(store: Store) -> str:
    """Where the Data Docs begin, in the file system's own spelling."""
    return store.path(FOLDER, "index.html")


class Pages:
    """Validation results as Great Expectations shows them, made self-contained. Holds its compiled templates."""

    def __init__(self) -> None:
        from great_expectations.render.renderer import ValidationResultsPageRenderer
        from great_expectations.render.view import DefaultJinjaPageView

        self._renderer = ValidationResultsPageRenderer(run_info_at_end=True)
        self._view = DefaultJinjaPageView()

    def page(self, answer: Any, run_name: str) -> str:
        from great_expectations.core.run_identifier import RunIdentifier

        answer.meta["run_id"] = RunIdentifier(run_name=run_name)
        return self_contained(self._view.render(self._renderer.render(answer), show_how_to_buttons=False))


def publish(store: Store, run: Run, checks: Checks, pages: dict[str, str]) -> None:
    """Put a run's pages, by suite, and their summary into ``FOLDER``, over those of an earlier check."""
    here = f"{FOLDER}/runs/{run.run_id}"
    for name in store.list(here):  # pages of suites that are no longer asked of it
        if name.removesuffix(".html") not in pages:
            store.remove(f"{here}/{name}")
    suites = []
    for name, text in pages.items():
        store.write(f"{here}/{name}.html", text.encode())
        of_suite = [check for check in checks if check["suite"] == name]
        suites.append({"suite": name, "expectations": len(of_suite), **_failed(of_suite)})
    store.write_json(f"{here}/summary.json", {"run": run.run_id, "label": run.label, "suites": suites})


def publish_index(store: Store) -> None:
    """The index of every run ever published in ``FOLDER``, with who let pass what had failed."""
    with store.lock(FOLDER.replace("/", "-"), wait=True):
        paths = [f"{FOLDER}/runs/{run_id}/summary.json" for run_id in store.list(f"{FOLDER}/runs")]
        summaries = [store.read_json(path) for path in paths if store.exists(path)]
        accepted = {m["run_id"]: m.get("accepted") for m in manifests(store)}
        told = [summary | {"accepted": accepted.get(summary["run"])} for summary in summaries]
        store.write(f"{FOLDER}/index.html", index_page(told).encode())


def _failed(checks: Checks) -> dict[str, list[str]]:
    """Texts of the failed expectations, by severity."""
    return {
        severity: [c["expectation"] for c in checks if c["severity"] == severity and not c["success"]]
        for severity in ("error", "warning")
    }


def self_contained(page: str) -> str:
    """A page of Great Expectations' without scripts, remote files or links to pages that are not published."""
    for pattern, instead in _CUTS:
        page = pattern.sub(instead, page)
    return page.replace("</head>", f"<style>{STYLE}</style></head>", 1)


_CUTS = [
    (re.compile(r"<script\b.*?</script>", re.DOTALL), ""),
    (re.compile(r"<link\b[^>]*>"), ""),
    (re.compile(r"@font-face\s*\{[^}]*\}"), ""),
    (re.compile(r"url\('https?:[^']*'\)"), "none"),
    (re.compile(r"<footer>.*?</footer>", re.DOTALL), ""),
    (re.compile(r"<img\b[^>]*>"), "Data quality"),
    (re.compile(r'href="(?:\.\./)+index\.html"'), 'href="../../index.html"'),
    (re.compile(r'<a href="(?:\.\./)+expectations/[^"]*"[^>]*>(.*?)</a>', re.DOTALL), r"\1"),
]


def index_page(summaries: list[dict[str, Any]]) -> str:
    """One row a run, one column a suite; runs that failed come first."""
    names = list(dict.fromkeys(suite["suite"] for summary in summaries for suite in summary["suites"]))
    ordered = sorted(summaries, key=lambda s: (not _all(s, "error"), not _all(s, "warning"), s["label"], s["run"]))
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(_run_row(summary, names) for summary in ordered)
    quarantined = sum(bool(_all(summary, "error")) for summary in summaries)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Data quality</title>'
        f"<style>{STYLE}</style></head><body><main><h1>Data quality</h1>"
        f"<p>{len(summaries)} checked, {quarantined} quarantined. A run with a failed error-level expectation is "
        "quarantined: kept, but not visible to SQL. Warnings are only shown.</p>"
        f'<table class="table index"><thead><tr><th>run</th><th>verdict</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></main></body></html>"
    )


def _all(summary: dict[str, Any], severity: str) -> list[str]:
    return [text for suite in summary["suites"] for text in suite[severity]]


def _run_row(summary: dict[str, Any], names: list[str]) -> str:
    errors, warnings = _all(summary, "error"), _all(summary, "warning")
    kind, verdict = (
        ("danger", "quarantined") if errors else ("warning", "warned") if warnings else ("success", "passed")
    )
    why = "".join(f"<br><small>not so: {escape(text)}</small>" for text in errors + warnings)
    return (
        f"<tr><td><strong>{escape(summary['label'])}</strong><br><small>{summary['run']}</small></td>"
        f'<td><span class="text-{kind}">{verdict}</span>{why}</td>'
        + "".join(_suite_cell(summary, name) for name in names)
        + "</tr>"
    )


def _suite_cell(summary: dict[str, Any], name: str) -> str:
    suite = next((s for s in summary["suites"] if s["suite"] == name), None)
    if suite is None:
        return "<td></td>"
    errors, warnings = len(suite["error"]), len(suite["warning"])
    kind, mark = ("danger", "✗") if errors else ("warning", "!") if warnings else ("success", "✓")
    right = suite["expectations"] - errors - warnings
    link = quote(f"runs/{summary['run']}/{name}.html")
    return f'<td><a class="text-{kind}" href="{link}">{mark} {right}/{suite["expectations"]}</a></td>'
