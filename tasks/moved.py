"""Task: what a rerun changed, as one artifact with a stable key, and as an event when something moved."""

import math
from dataclasses import dataclass
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from kpe_core.report.findings import MARKS
from kpe_core.report.history import Change, Results, carried, changes, current, keep, last, shift
from kpe_core.stages.holdings import Holding, holdings
from kpe_core.stages.manifest import registered
from kpe_core.stages.tabulate import table_path
from kpe_core.store.store import Store
from kpe_core.study.specs import Study
from tasks.common import OPTIONS, slug
from tasks.markdown import plain
from tasks.quality.drift import drift_frame

EVENT = "kpe.finding.moved"
BEYOND = 1.0
"""Shifts above it, in units of both 95 % intervals' half-widths added in squares, are beyond the intervals."""
MOST_TOLD = 20
"""Scores and findings an event carries; the artifact has them all."""


@dataclass(frozen=True)
class Move:
    """A score or correlation that is another one now."""

    run: str
    metric: str
    earlier: float
    value: float
    shift: float

    @property
    def is_beyond(self) -> bool:
        return self.shift > BEYOND

    @property
    def times(self) -> str:
        """The shift as it is told."""
        return f"{self.shift:.2f} ×" if math.isfinite(self.shift) else "∞"


@task(name="moved", task_run_name="what moved in the study", **OPTIONS)
def tell_moved(store: str, study: dict[str, Any], before: dict[str, Holding]) -> dict[str, int]:
    """Publish what was reused, what was computed, and what moved since the last rerun; then remember what is told now.

    ``before`` is what the store held as the rerun started. An event goes out when a score moved beyond its interval or
    a finding got another verdict, and only then.
    """
    where, spec = Store(store), Study.model_validate(study)
    then, today = last(where, spec.name), current(where, spec.name)
    held = holdings(where, spec)
    today = today or Results("", {}, ())
    scores = [] if then is None else moved_scores(where, then, today)
    told = [] if then is None else changes(then, carried(then, today, list(held)))
    far = [move for move in scores if move.is_beyond]
    turned = [change for change in told if change.turned]
    lines = [*_headline(then, scores, far, told, turned), *_work(before, held), *_scores(scores), *_findings(told)]
    create_markdown_artifact(
        "\n".join(lines), key=f"moved-{slug(spec.name)}", description=f"What the last rerun of {spec.name} changed"
    )
    if far or turned:
        _emit(where, spec, far, turned)
    if today.runs:
        keep(where, spec.name, carried(then, today, list(held)))
    return {"scores": len(scores), "beyond": len(far), "turned": len(turned)}


def moved_scores(store: Store, then: Results, today: Results) -> list[Move]:
    """Every score and correlation with an interval that is another one now, the farthest moved first.

    Runs of the same id have the same numbers, bit for bit, and are not even read.
    """
    found = []
    new = {label: run for label, run in today.runs.items() if then.runs.get(label) not in (None, run)}
    for label, run_id in new.items():
        earlier = then.runs[label]
        if store.exists(f"runs/{earlier}/tables/scores.parquet"):
            run = registered(store, run_id)
            frame = drift_frame(store, run, store.read_table(table_path(run, "scores")).to_pandas(), earlier)
            columns = [frame[name].tolist() for name in ("metric", "earlier", "value", "shift")]
            found += [Move(label, *row) for row in zip(*columns, strict=True)]
    earlier_of = {(c["run_label"], c["metric"]): c for c in then.correlations}
    for c in today.correlations:
        if c["run_label"] in new and (was := earlier_of.get((c["run_label"], c["metric"]))) is not None:
            found.append(Move(c["run_label"], c["metric"], was["value"], c["value"], shift(c, was)))
    return sorted((move for move in found if move.shift > 0), key=lambda move: -move.shift)


def _headline(
    then: Results | None, scores: list[Move], far: list[Move], told: list[Change], turned: list[Change]
) -> list[str]:
    if then is None:
        return ["**The first results: nothing to compare with yet.**", ""]
    since = f"since the last rerun ({then.at[:16].replace('T', ' ')} UTC)"
    if not scores and not told:
        return [f"**Nothing moved** {since}.", ""]
    if not far and not turned:
        return [f"**Nothing moved beyond its interval** {since}; {len(scores)} scores moved within theirs.", ""]
    return [
        f"**{len(far)} of {len(scores)} changed scores moved beyond their interval, {len(turned)} findings got another "
        f"verdict** {since}.",
        "",
    ]


def _work(before: dict[str, Holding], held: dict[str, Holding]) -> list[str]:
    """Reused, computed and unfinished runs, by name."""
    reused, computed, missing = [], [], []
    for name, now in held.items():
        label = plain(name)
        was = before.get(name, {"run": None, "samples": 0, "finished": False})
        if not now["finished"]:
            missing.append(f"{label} ({now['samples']} of {now['of']} samples)")
        elif was["finished"] and was["run"] == now["run"]:
            reused.append(label)
        else:
            kept = was["samples"] if was["run"] == now["run"] else 0
            computed.append(f"{label} (`{now['run']}`, {now['of'] - kept} of {now['of']} samples)")
    said = [("Reused", reused), ("Computed new", computed), ("Not visible: unfinished or in quarantine", missing)]
    return [f"- {what}: {', '.join(names) or 'nothing'}" for what, names in said if names or what != said[-1][0]]


def _scores(scores: list[Move]) -> list[str]:
    if not scores:
        return []
    rows = [
        f"| {plain(m.run)} | {plain(m.metric)} | {m.earlier:.4g} | {m.value:.4g} | {m.times} | "
        f"{'**beyond**' if m.is_beyond else 'within'} |"
        for m in scores
    ]
    return [
        "", "### Scores that moved", "",
        "Shifts in units of the two 95 % intervals' half-widths, added in squares.", "",
        "| run | metric | before | now | shift | its interval |", "|---|---|---|---|---|---|", *rows,
    ]  # fmt: skip


def _findings(told: list[Change]) -> list[str]:
    if not told:
        return []
    lines = ["", "### Findings told differently", ""]
    for change in told:
        now = change.after or {"sentence": "no longer told", "verdict": None}
        was = "new" if change.before is None else f"was {_mark(change.before)}: {plain(change.before['sentence'])}"
        lines.append(f"- {_mark(now)} {change.topic}: {plain(now['sentence'])} ({was})")
    return lines


def _emit(where: Store, spec: Study, far: list[Move], turned: list[Change]) -> None:
    """One event a rerun, so that whoever is notified hears once."""
    scores = [f"{m.run}: {m.metric} {m.earlier:.4g} → {m.value:.4g} ({m.times} its interval)" for m in far]
    verdicts = [
        f"{c.run_label}: {c.topic} {c.before['verdict']} → {c.after['verdict']}" for c in turned if c.before and c.after
    ]
    emit_event(
        event=EVENT,
        resource={"prefect.resource.id": f"kpe.study.{slug(spec.name)}", "prefect.resource.name": spec.name},
        payload={
            "study": spec.name,
            "store": where.url,
            "artifact": f"moved-{slug(spec.name)}",
            "scores": len(far),
            "verdicts": len(turned),
            "moved": [*verdicts, *scores][:MOST_TOLD],
        },
    )


def _mark(finding: dict[str, Any]) -> str:
    return MARKS.get(finding["verdict"], "–") if finding["verdict"] is not None else "–"
