"""What a study says now, and what it said last: all that a rerun needs to tell what moved.

``studies/<name>/last.json`` is what the last rerun told of, written once it has been told, so that a rerun that is killed
half-way leaves its successor the same results to compare with.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from kpe_core.catalog.analyses import analysis
from kpe_core.catalog.catalog import Catalog
from kpe_core.report.files import ReportFiles
from kpe_core.stages.manifest import now
from kpe_core.store.store import Store


@dataclass(frozen=True)
class Results:
    """What a study says: its visible runs by label, its findings, and the correlations they rest on."""

    at: str
    runs: dict[str, str]
    findings: tuple[dict[str, Any], ...]
    correlations: tuple[dict[str, Any], ...] = ()
    """run_label, metric, value, low, high."""


@dataclass(frozen=True)
class Change:
    """A finding that is told differently now. None: there was none, or there is none any more."""

    topic: str
    run_label: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @property
    def turned(self) -> bool:
        """Whether its verdict is another one."""
        return self.before is not None and self.after is not None and self.before["verdict"] != self.after["verdict"]


def current(store: Store, study: str) -> Results | None:
    """What the store's tables and report say now; None where the study has said nothing yet."""
    path = f"studies/{study}/runs.json"
    if not store.exists(path):
        return None
    rows = [r for r in store.read_json(path) if store.exists(f"runs/{r['run']}/manifest.json")]
    files = ReportFiles(store, study)
    findings = tuple(files.findings() if files.exists() else ())
    return Results(now(), {r["label"]: r["run"] for r in rows}, findings, _correlations(store, study) if rows else ())


def begin(store: Store, study: str) -> None:
    """Before a study's first rerun: what an earlier ``kpe run`` left is what to compare with."""
    if last(store, study) is None and (found := current(store, study)) is not None:
        keep(store, study, found)


def last(store: Store, study: str) -> Results | None:
    """What the last rerun told of; None before the first."""
    path = f"studies/{study}/last.json"
    if not store.exists(path):
        return None
    said = store.read_json(path)
    return Results(said["at"], said["runs"], tuple(said["findings"]), tuple(said["correlations"]))


def keep(store: Store, study: str, results: Results) -> None:
    """Make ``results`` what the next rerun compares with."""
    store.write_json(f"studies/{study}/last.json", asdict(results))


def carried(before: Results | None, after: Results, labels: list[str]) -> Results:
    """``after``, and of the ``labels`` that have no visible run now what was last accepted of them."""
    if before is None:
        return after
    missing = {label for label in labels if label in before.runs and label not in after.runs}
    runs = {label: before.runs[label] for label in missing} | after.runs
    findings = (f for f in before.findings if f["run_label"] in missing)
    correlations = (c for c in before.correlations if c["run_label"] in missing)
    return Results(after.at, runs, (*after.findings, *findings), (*after.correlations, *correlations))


def changes(before: Results, after: Results) -> list[Change]:
    """The findings told differently, in the order they are told now; those no longer told last."""
    then, today = _by_claim(before), _by_claim(after)
    claims = [*today, *(claim for claim in then if claim not in today)]
    told = [Change(claim[0], claim[1], then.get(claim), today.get(claim)) for claim in claims]
    return [c for c in told if c.before != c.after]


def shift(now: dict[str, Any], then: dict[str, Any]) -> float:
    """|value − earlier| in units of the two intervals' half-widths, added in squares."""
    apart = abs(now["value"] - then["value"])
    width = math.hypot(now["high"] - now["low"], then["high"] - then["low"]) / 2
    return apart / width if width > 0 else math.inf if apart > 0 else 0.0


def _correlations(store: Store, study: str) -> tuple[dict[str, Any], ...]:
    """Energy's rank correlations with densities, memorization and semantics, those that have intervals."""
    with Catalog(store) as catalog:
        densities = analysis("density_correlation").run(catalog, study).to_pylist()
        trends = analysis("trends").run(catalog, study).to_pylist()
    named = [(f"ρ(KPE, {r['estimator']} density) in {r['space']}", r) for r in densities]
    named += [(f"ρ(KPE, {r['quantity']})" + (f" in {r['space']}" if r["space"] else ""), r) for r in trends]
    told = [
        {"run_label": r["run_label"], "metric": m, "value": r["rho"], "low": r["low"], "high": r["high"]}
        for m, r in named
    ]
    return tuple(c for c in told if all(c[k] is not None and math.isfinite(c[k]) for k in ("value", "low", "high")))


def _by_claim(results: Results) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Findings by topic, run and, where a claim says several things of one run, which of them it is."""
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for finding in results.findings:
        n = 0
        while (claim := (finding["topic"], finding["run_label"], n)) in found:
            n += 1
        found[claim] = dict(finding)
    return found
