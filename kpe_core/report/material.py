"""What a report reads besides the analyses: the runs, those that are missing, the checks, the provenance."""

import json
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from kpe_core.catalog.analyses import analyses
from kpe_core.catalog.catalog import Catalog
from kpe_core.store.store import Store

Row = dict[str, Any]


@dataclass(frozen=True)
class StudyRun:
    """One finalised run of a study, as ``study_runs`` and ``runs`` describe it."""

    run: str
    label: str
    dataset: str
    facts: Row
    """All columns of the runs table of a report."""
    baseline: str | None
    """The plain twin on the same noise, for shaped runs that have one."""


@dataclass(frozen=True)
class Material:
    """The report's facts beside answers, findings and figures."""

    runs: list[StudyRun]
    missing: list[Row] = field(default_factory=list)
    """label, run, why: runs of the study that SQL cannot see."""
    checks: list[Row] = field(default_factory=list)
    """suite, expectations, passed, warnings, errors."""
    failed_checks: list[Row] = field(default_factory=list)
    provenance: list[tuple[str, str]] = field(default_factory=list)


RUNS = """
SELECT
  m.run, m.run_label AS label, r.dataset, r.n_train, r.scaling, r.pool, r.scale, r.field, r.solver, r.grid, r.nfe,
  r.alpha0, r.beta0, r.eta, r.tau, r.launch, r.landing, r.energy_split, r.n_samples, r.seed, r.sampling_seconds, r.versions,
  (SELECT any_value(c.baseline) FROM comparisons c WHERE c.run = m.run) AS baseline
FROM study_runs m JOIN runs r USING (run)
WHERE m.study = $study ORDER BY m.position
"""

CHECKS = """
SELECT suite, count(*) AS expectations, count(*) FILTER (success) AS passed,
  count(*) FILTER (NOT success AND severity <> 'error') AS warnings,
  count(*) FILTER (NOT success AND severity = 'error') AS errors
FROM checks JOIN study_runs m USING (run) WHERE m.study = $study GROUP BY suite ORDER BY suite
"""

FAILED_CHECKS = """
SELECT m.run_label, suite, expectation, observed, threshold, severity, checks.accepted
FROM checks JOIN study_runs m USING (run) WHERE m.study = $study AND NOT success
ORDER BY severity, m.position, suite, expectation
"""


def answers_of(catalog: Catalog, study: str) -> dict[str, pa.Table]:
    """Every analysis' table for one study, by the analysis' name."""
    return {analysis.name: analysis.run(catalog, study) for analysis in analyses()}


def study_runs(catalog: Catalog, study: str) -> list[StudyRun]:
    """The study's finalised runs, in its order."""
    found = []
    for row in catalog.query(RUNS, study=study).to_pylist():
        run, label, baseline = row.pop("run"), row.pop("label"), row.pop("baseline")
        found.append(StudyRun(run, label, row["dataset"], row, baseline))
    return found


def material(store: Store, catalog: Catalog, study: str) -> Material:
    """Gather the facts of one study."""
    runs = study_runs(catalog, study)
    return Material(
        runs=runs,
        missing=_missing(store, study, {r.run for r in runs}),
        checks=catalog.query(CHECKS, study=study).to_pylist(),
        failed_checks=catalog.query(FAILED_CHECKS, study=study).to_pylist(),
        provenance=_provenance(runs),
    )


def _missing(store: Store, study: str, visible: set[str]) -> list[Row]:
    path = f"studies/{study}/runs.json"
    out = []
    for row in store.read_json(path) if store.exists(path) else []:
        if row["run"] not in visible:
            quarantine = f"runs/{row['run']}/quarantine.json"
            failed = store.read_json(quarantine).get("failed", []) if store.exists(quarantine) else []
            why = f"quarantined: {', '.join(map(str, failed))}" if failed else "not finished"
            out.append({"label": row["label"], "run": row["run"], "why": why})
    return out


def _provenance(runs: list[StudyRun]) -> list[tuple[str, str]]:
    """Versions, revision, seeds and sample sizes, each value once; more than one where runs differ."""
    seen: dict[str, list[str]] = {}
    for run in runs:
        told = json.loads(run.facts["versions"] or "{}")
        told |= {"seed": run.facts["seed"], "samples per run": run.facts["n_samples"]}
        for name, value in told.items():
            values = seen.setdefault(name, [])
            if (text := "unknown" if value is None else str(value)) not in values:
                values.append(text)
    return [(name, ", ".join(values)) for name, values in seen.items()]
