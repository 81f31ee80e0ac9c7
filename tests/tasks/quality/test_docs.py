"""Data Docs: one index of runs by name, pages that need no other host."""

import re
from collections.abc import Callable

from kpe_core.stages.accept import accept
from tasks.quality.docs import docs_index, index_page, publish_index, self_contained
from tasks.quality.judge import judge
from tests.tasks.quality.bench import Bench
from tests.tasks.quality.faults import nan_kpe


def test_index_names_runs_and_leads_to_pages_that_load_nothing(bench: Callable[..., Bench]) -> None:
    b = bench()
    nan_kpe(b)
    judge(b.store, [b.run], "test")
    index = b.store.read("quality/docs/index.html").decode()
    assert docs_index(b.store) == b.store.path("quality/docs/index.html")
    assert "<strong>exact</strong>" in index
    assert "1 run checked: 1 quarantined." in index
    links = re.findall(r'href="([^"]+)"', index)
    assert len(links) == 8
    for link in links:
        page = b.store.read(f"quality/docs/{link}").decode()
        assert not re.search(r"<script|<link|https?://", page)
        assert 'href="../../index.html"' in page
        assert f"exact {b.run.run_id}" in page
    assert "1 of 50 samples: 7 (kpe)" in b.store.read(f"quality/docs/runs/{b.run.run_id}/samples.html").decode()


def test_checking_again_replaces_pages(bench: Callable[..., Bench]) -> None:
    b = bench()
    for _ in range(2):
        judge(b.store, [b.run], "test")
        b.store.remove(f"runs/{b.run.run_id}/manifest.json")
    assert b.store.list(f"quality/docs/runs/{b.run.run_id}") == sorted(
        [
            "summary.json",
            *(f"{s}.html" for s in ("samples", "steps", "densities", "states", "noise", "scores", "theory", "shards")),
        ]
    )
    assert b.store.read("quality/docs/index.html").decode().count("<tr>") == 2


def test_names_are_escaped() -> None:
    suites = [{"suite": "samples", "expectations": 3, "error": ["a < b"], "warning": []}]
    page = index_page([{"run": "0123", "label": "<i>", "suites": suites, "accepted": None}])
    assert "&lt;i&gt;" in page
    assert "a &lt; b" in page
    assert "✗ 2/3" in page


def test_self_contained_cuts_what_is_fetched_from_elsewhere() -> None:
    page = (
        '<head><link href="https://a/b.css"><script src="https://c"></script></head>'
        '<a href="../../../../index.html"><img src="https://d/logo.png"/></a>'
        '<a href="../../expectations/samples.html" >samples</a><footer>news</footer>'
    )
    text = self_contained(page)
    body = text.split("</head>")[1]
    assert "https" not in text
    assert body == '<a href="../../index.html">Data quality</a>samples'


def test_a_page_begins_with_what_was_not_met(bench: Callable[..., Bench]) -> None:
    b = bench()
    nan_kpe(b)
    judge(b.store, [b.run], "test")
    page = b.store.read(f"quality/docs/runs/{b.run.run_id}/samples.html").decode()
    assert page.count("<title>") == 1
    assert "<title>samples of exact</title>" in page
    head, rest = page.split('<div class="head">')[1].split('<div class="container-fluid', 1)
    assert "<strong>Not so: every value is there and finite</strong> (error)" in head
    assert "found: 1 of 50 samples: 7 (kpe)" in head
    assert head.index("(error)") < head.index("(warning)")
    assert "kpe is not negative" in rest
    noise = b.store.read(f"quality/docs/runs/{b.run.run_id}/noise.html").decode()
    assert "Every expectation was met." in noise


def test_the_index_tells_who_accepted_a_run_and_why(bench: Callable[..., Bench]) -> None:
    b = bench()
    nan_kpe(b)
    judge(b.store, [b.run], "test")
    assert '<span class="text-danger">quarantined</span>' in b.store.read("quality/docs/index.html").decode()
    accept(b.store, b.run.run_id, "one NaN <of> many", "someone")
    publish_index(b.store)
    index = b.store.read("quality/docs/index.html").decode()
    assert "1 run checked: 1 accepted." in index
    assert "by someone, 2" in index
    assert "one NaN &lt;of&gt; many" in index
