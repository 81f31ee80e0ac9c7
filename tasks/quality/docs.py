"""Data Docs as they are published: pages that load nothing from elsewhere, under one index of runs by their names.

Great Expectations' own pages fetch styles and scripts from eight other hosts, and its index is blank without them.
"""

import re
from html import escape
from typing import Any
from urllib.parse import quote

from kpe_core.stages.manifest import manifests
from kpe_core.store.sealed import sealed_html
from kpe_core.store.store import Store
from kpe_core.study.runs import Run
from tasks.quality.style import STYLE
from tasks.quality.words import SHOWN

Checks = list[dict[str, Any]]
FOLDER = "quality/docs"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
NO_SCRIPTS = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
"""Browsers then run nothing of a page and fetch nothing for it, whatever a text in it became."""


def docs_index(store: Store) -> str:
    """Where the Data Docs begin."""
    return store.address(f"{FOLDER}/index.html")


class Pages:
    """Validation results as Great Expectations shows them, made self-contained. Holds its compiled templates."""

    def __init__(self) -> None:
        from great_expectations.render.renderer import ValidationResultsPageRenderer
        from great_expectations.render.view import DefaultJinjaPageView

        self._renderer = ValidationResultsPageRenderer(run_info_at_end=True)
        self._view = DefaultJinjaPageView()

    def page(self, answer: Any, run: Run, suite: str, checks: Checks) -> str:
        """The page of one suite: what was not met first, then everything, column by column."""
        from great_expectations.core.run_identifier import RunIdentifier

        answer.meta["run_id"] = RunIdentifier(run_name=f"{run.label} {run.run_id}")
        for result in answer.results:
            _forget_traceback(result.exception_info)
        text = self._view.render(self._renderer.render(answer), show_how_to_buttons=False)
        return self_contained(text, f"{suite} of {run.label}", _missed(checks))


def _forget_traceback(info: Any) -> None:
    """It says nothing to a reader, and would be put on the page as HTML."""
    if isinstance(info, dict):
        for name, value in info.items():
            if name == "exception_traceback":
                info[name] = ""
            _forget_traceback(value)


def _missed(checks: Checks) -> str:
    """The failed expectations as a list, errors first, with what was allowed and which rows failed."""
    failed = sorted((c for c in checks if not c["success"]), key=lambda c: str(c["severity"]))
    if not failed:
        return "<p>Every expectation was met.</p>"
    return "".join(_failure(check) for check in failed)


def _failure(check: dict[str, Any]) -> str:
    kind = "danger" if check["severity"] == "error" else "warning"
    more = check["rows"] if len(check["rows"]) > SHOWN else []
    rows = ", ".join(more) + (", …" if (check["failed"] or 0) > len(more) else "")
    told = [("found", check["observed"]), ("allowed", check["threshold"]), ("failing rows", more and rows)]
    lines = "".join(f"<br><small>{name}: {escape(str(value))}</small>" for name, value in told if value)
    what = f"<strong>Not so: {escape(check['expectation'])}</strong> ({check['severity']})"
    return f'<p class="missed {kind}">{what}{lines}</p>'


def publish(store: Store, run: Run, checks: Checks, pages: dict[str, str]) -> None:
    """Put a run's pages, by suite, and their summary into ``FOLDER``, over those of an earlier check."""
    here = f"{FOLDER}/runs/{run.run_id}"
    for name in store.list(here):  # pages of suites that are no longer asked of it
        if name.removesuffix(".html") not in pages:
            store.remove(f"{here}/{name}")
    suites = []
    for name, text in pages.items():
        store.write(f"{here}/{name}.html", sealed_html(text))
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
        store.write(f"{FOLDER}/index.html", sealed_html(index_page(told)))


def _failed(checks: Checks) -> dict[str, list[str]]:
    """Texts of the failed expectations, by severity."""
    return {
        severity: [c["expectation"] for c in checks if c["severity"] == severity and not c["success"]]
        for severity in ("error", "warning")
    }


def self_contained(page: str, title: str = "", head: str = "") -> str:
    """A page of Great Expectations' without scripts, remote files or links to pages that are not published.

    ``title`` names it, ``head`` (HTML) comes before what Great Expectations shows.
    """
    for pattern, instead in _CUTS:
        page = pattern.sub(instead, page)
    page = re.sub(r"<title>.*?</title>", "", page, flags=re.DOTALL)
    page = page.replace("</head>", f"<title>{escape(title)}</title><style>{STYLE}</style></head>", 1)
    page = page.replace("<head>", f"<head>{NO_SCRIPTS}", 1)
    begin = f'<div class="head"><h1>{escape(title)}</h1>{head}</div>'
    return re.sub(r'(?=<div class="container-fluid)', lambda _: begin, page, count=1)


_CUTS = [
    (re.compile(r"<script\b.*?</script>", re.DOTALL), ""),
    (re.compile(r"<link\b[^>]*>"), ""),
    (re.compile(r"@font-face\s*\{[^}]*\}"), ""),
    (re.compile(r"url\('https?:[^']*'\)"), "none"),
    (re.compile(r"<footer>.*?</footer>", re.DOTALL), ""),
    (re.compile(r"<html>"), '<html lang="en">'),
    (re.compile(r"Data asset:\s*None"), ""),
    (re.compile(r' style="height: 70px"'), ""),
    (re.compile(r"<img\b[^>]*>"), "Data quality"),
    (re.compile(r'href="(?:\.\./)+index\.html"'), 'href="../../index.html"'),
    (re.compile(r'<a href="(?:\.\./)+expectations/[^"]*"[^>]*>(.*?)</a>', re.DOTALL), r"\1"),
]


def index_page(summaries: list[dict[str, Any]]) -> str:
    """One row a run, one column a suite; runs that failed come first. Each summary also says who ``accepted`` the run."""
    names = list(dict.fromkeys(suite["suite"] for summary in summaries for suite in summary["suites"]))
    order = {kind: i for i, kind in enumerate(("quarantined", "accepted", "warned", "passed"))}
    ordered = sorted(summaries, key=lambda s: (order[_verdict(s)], s["label"], s["run"]))
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(_run_row(summary, names) for summary in ordered)
    count = {kind: sum(_verdict(s) == kind for s in summaries) for kind in order}
    plural = "" if len(summaries) == 1 else "s"
    counted = ", ".join(f"{n} {kind}" for kind, n in count.items() if n)
    return (
        f'<!DOCTYPE html><html lang="en"><head>{NO_SCRIPTS}<meta charset="utf-8"><title>Data quality</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main><h1>Data quality</h1>"
        f"<p>{len(summaries)} run{plural} checked: {counted}.</p>"
        "<p><small>A run with a failed error-level expectation is quarantined: kept, but not visible to SQL, unless "
        "someone accepts it for a reason (kpe quality accept). Warnings are only shown.</small></p>"
        f'<table class="table index"><thead><tr><th>run</th><th>verdict</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></main></body></html>"
    )


def _verdict(summary: dict[str, Any]) -> str:
    if _all(summary, "error"):
        return "accepted" if summary["accepted"] else "quarantined"
    return "warned" if _all(summary, "warning") else "passed"


def _all(summary: dict[str, Any], severity: str) -> list[str]:
    return [text for suite in summary["suites"] for text in suite[severity]]


_KINDS = {"quarantined": "danger", "accepted": "warning", "warned": "warning", "passed": "success"}


def _run_row(summary: dict[str, Any], names: list[str]) -> str:
    verdict, accepted = _verdict(summary), summary["accepted"]
    lines = [f"by {accepted['by']}, {accepted['at'][:10]}: {accepted['reason']}"] if accepted else []
    lines += [f"not so: {text}" for text in _all(summary, "error")]
    lines += [f"warning: {text}" for text in _all(summary, "warning")]
    why = "".join(f"<br><small>{escape(line)}</small>" for line in lines)
    return (
        f"<tr><td><strong>{escape(summary['label'])}</strong><br><small>{summary['run']}</small></td>"
        f'<td><span class="text-{_KINDS[verdict]}">{verdict}</span>{why}</td>'
        + "".join(_suite_cell(summary, name) for name in names)
        + "</tr>"
    )


def _suite_cell(summary: dict[str, Any], name: str) -> str:
    suite = next((s for s in summary["suites"] if s["suite"] == name), None)
    if suite is None:
        return '<td class="none"></td>'
    errors, warnings = len(suite["error"]), len(suite["warning"])
    kind, mark = ("danger", "✗") if errors else ("warning", "!") if warnings else ("success", "✓")
    right = suite["expectations"] - errors - warnings
    link = quote(f"runs/{summary['run']}/{name}.html")
    called = f'<td data-suite="{escape(name)}">'
    return f'{called}<a class="text-{kind}" href="{link}">{mark} {right}/{suite["expectations"]}</a></td>'
