"""The gate: every rule put to Great Expectations, its answer as a row of the checks table.

The context is an ephemeral one: a project folder in the store would have to survive being killed half-written, and could
not live in an object store. What is worth keeping, rows and pages, is written whole, by the store.
"""

from html import escape
from typing import Any

from kpe_core.store.store import Store
from kpe_core.study.runs import Run
from kpe_core.study.specs import ExpectationSpec
from tasks.quality.docs import Pages, publish, publish_index
from tasks.quality.expectations import great_expectations, suite
from tasks.quality.frames import evidence
from tasks.quality.load import suites
from tasks.quality.rules import rules
from tasks.quality.words import check_row

NAMED = 20
"""Failing rows named in a check."""


def check_runs(
    store: Store, runs: list[Run], study: str, more: tuple[ExpectationSpec, ...] = ()
) -> dict[str, list[dict[str, Any]]]:
    """Check each run, also by what its study expects beside; by run id, its rows of the checks table.

    Data Docs are published at ``docs_index`` of docs.py.

    Raises
    ------
    StoreDamaged
        when a table to be checked is missing or unreadable.
    UserError
        when an expectation is none that can be put to the runs.
    """
    validator = _Validator(more)
    found: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        rows, pages = validator.validate(store, run, study)
        publish(store, run, rows, pages)
        found[run.run_id] = rows
    publish_index(store)
    return found


class _Validator:
    """One Great Expectations context, with a batch definition for every frame."""

    def __init__(self, more: tuple[ExpectationSpec, ...]) -> None:
        self._suites = suites(more)
        context = great_expectations().get_context(mode="ephemeral")
        context.enable_analytics(False)
        context.variables.progress_bars = {"globally": False, "metric_calculations": False}
        self._source = context.data_sources.add_pandas("tables")
        self._batches: dict[str, Any] = {}
        self._pages = Pages()

    def validate(self, store: Store, run: Run, study: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """One validation a frame: rows of the checks table, and by frame its page."""
        shown = evidence(store, run, study)
        rows: list[dict[str, Any]] = []
        pages: dict[str, str] = {}
        for name, frame in shown.frames.items():
            keys = list(self._suites[name].keys)
            expected = rules(self._suites[name], shown.facts)
            batch = self._batch_definition(name).get_batch(batch_parameters={"dataframe": frame})
            answer = batch.validate(suite(name, expected), result_format="BASIC")
            results = _by_name(answer)
            missed = [rule for rule in expected if not results[rule.text].success]
            if missed:  # naming the rows costs as much again, so only where there are some to name
                named = {"partial_unexpected_count": NAMED, "unexpected_index_column_names": keys}
                again = batch.validate(suite(name, missed), result_format={"result_format": "SUMMARY", **named})
                results |= _by_name(again)
                answer.results = list(results.values())
            here = [check_row(run, name, rule, results[rule.text], frame, keys) for rule in expected]
            for row in here:
                results[row["expectation"]].result["observed_value"] = escape(row["observed"])
            pages[name] = self._pages.page(answer, run, name, here)
            rows += here
        return rows, pages

    def _batch_definition(self, name: str) -> Any:
        if name not in self._batches:
            asset = self._source.add_dataframe_asset(name)
            self._batches[name] = asset.add_batch_definition_whole_dataframe("all rows")
        return self._batches[name]


def _by_name(answer: Any) -> dict[str, Any]:
    """The results of a validation by their expectations' names, in order."""
    return {result.expectation_config.meta["expectation"]: result for result in answer.results}
