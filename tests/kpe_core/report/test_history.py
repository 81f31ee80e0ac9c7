"""What a study said last, against what it says now."""

import math
from pathlib import Path
from typing import Any

import pytest

from kpe_core.report.history import Results, begin, carried, changes, current, keep, last, shift
from kpe_core.stages.holdings import holdings, reopen, sampled_runs
from kpe_core.store.store import Store
from kpe_core.study.specs import Study


def finding(label: str, verdict: str, sentence: str = "so") -> dict[str, Any]:
    return {"topic": "a claim", "run_label": label, "verdict": verdict, "sentence": sentence}


def test_shifts_are_in_units_of_both_intervals() -> None:
    def of(value: float, half: float) -> dict[str, float]:
        return {"value": value, "low": value - half, "high": value + half}

    assert shift(of(5, 3), of(0, 4)) == pytest.approx(1.0)
    assert shift(of(1, 0), of(1, 0)) == 0.0
    assert shift(of(1, 0), of(2, 0)) == math.inf


def test_what_is_told_differently() -> None:
    then = Results(
        "", {}, (finding("a", "holds"), finding("b", "holds"), finding("b", "fails"), finding("gone", "holds"))
    )
    now = Results(
        "", {}, (finding("a", "fails"), finding("b", "holds"), finding("b", "fails", "thus"), finding("new", "holds"))
    )
    told = changes(then, now)
    assert [(c.run_label, c.turned) for c in told] == [("a", True), ("b", False), ("new", False), ("gone", False)]
    assert changes(now, now) == []


def test_what_was_last_accepted_of_a_run_in_quarantine_stays_what_to_compare_with() -> None:
    then = Results("", {"a": "1", "b": "2", "left-the-study": "3"}, (finding("b", "holds"),))
    kept = carried(then, Results("", {"a": "4"}, ()), ["a", "b"])
    assert kept.runs == {"a": "4", "b": "2"}
    assert kept.findings == (finding("b", "holds"),)


def test_the_first_rerun_compares_with_what_a_run_left(tiny: Study, tiny_store: Store, tmp_path: Path) -> None:
    empty = Store.create_or_open(str(tmp_path))
    begin(empty, tiny.name)
    assert last(empty, tiny.name) is None
    now = current(tiny_store, tiny.name)
    assert now is not None
    assert len(now.runs) == 3
    assert {c["run_label"] for c in now.correlations} == set(now.runs)
    assert all(c["low"] <= c["value"] <= c["high"] for c in now.correlations)
    keep(empty, tiny.name, now)
    assert last(empty, tiny.name) == now


def test_what_a_store_holds(tiny: Study, tiny_store: Store, tmp_path: Path) -> None:
    held = holdings(tiny_store, tiny)
    assert all(h["finished"] and h["samples"] == h["of"] for h in held.values())
    runs, without = sampled_runs(tiny_store, tiny)
    assert ([run.label for run in runs], without) == (list(held), [])
    nothing = Store.create_or_open(str(tmp_path))
    assert not any(h["finished"] or h["samples"] for h in holdings(nothing, tiny).values())
    assert sampled_runs(nothing, tiny) == ([], list(held))


def test_an_accepted_run_is_not_reopened(tiny: Study, tiny_store: Store, tmp_path: Path) -> None:
    (run, other, _), _ = sampled_runs(tiny_store, tiny)
    store = Store.create_or_open(str(tmp_path))
    for each, accepted in ((run, {"reason": "known"}), (other, None)):
        path = f"runs/{each.run_id}/manifest.json"
        store.write_json(path, tiny_store.read_json(path) | {"accepted": accepted})
    for each in (run, other):
        reopen(store, each)
    assert store.exists(f"runs/{run.run_id}/manifest.json")
    assert not store.exists(f"runs/{other.run_id}/manifest.json")
