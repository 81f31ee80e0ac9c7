"""A study's findings: every published claim it can speak to, held against its numbers, in sentences."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from kpe_core.report import claims_density, claims_energy, claims_shaping, claims_theory, claims_training
from kpe_core.report.claims import Answers, Finding, Verdict, shaped_runs

MARKS: dict[Verdict, str] = {"holds": "✓", "partly": "◐", "fails": "✗", "measured": "·"}

__all__ = [
    "MARKS",
    "Answers",
    "Finding",
    "Verdict",
    "as_dicts",
    "by_topic",
    "findings",
    "not_reproduced",
    "summary",
    "tally",
]


def findings(answers: Answers) -> list[Finding]:
    """All findings of one study, claim by claim, runs in the study's order.

    ``answers`` maps an analysis' name to its table for that study. Whatever is missing (an analysis, semantics,
    shapings, enough samples) takes its findings with it, or leaves them ``measured``.
    """
    shaped = shaped_runs(answers)
    return [
        *claims_density.energy_and_density(answers, shaped),
        *claims_density.bandwidth_flips(answers, shaped),
        *claims_density.sparse_against_dense(answers, shaped),
        *claims_energy.semantics(answers, shaped),
        *claims_energy.memorized_trend(answers, shaped),
        *claims_energy.memorized_level(answers, shaped),
        *claims_training.memorization_sets_in(answers, shaped),
        *claims_shaping.shaping(answers),
        *claims_theory.theorem_4_2(answers),
        *claims_theory.terminal_growth(answers),
        *claims_theory.proposition_5_2(answers),
    ]


def by_topic(found: Sequence[Finding]) -> dict[str, list[Finding]]:
    """Findings grouped by claim, in order."""
    grouped: dict[str, list[Finding]] = {}
    for finding in found:
        grouped.setdefault(finding.topic, []).append(finding)
    return grouped


def not_reproduced(found: Sequence[Finding]) -> list[Finding]:
    """What does not reproduce: first what fails, then what holds in part only."""
    return [f for verdict in ("fails", "partly") for f in found if f.verdict == verdict]


def tally(found: Sequence[Finding]) -> dict[Verdict, int]:
    """How many findings have each verdict, verdicts that never occur included."""
    counts = Counter(f.verdict for f in found)
    return {verdict: counts[verdict] for verdict in MARKS}


def summary(found: Sequence[Finding]) -> list[str]:
    """Lines for the terminal: each claim with its runs by verdict, then, in sentences, what does not reproduce."""
    lines = []
    for topic, here in by_topic(found).items():
        lines.append(f"{topic}:")
        for verdict, mark in MARKS.items():
            said = [f"{f.run_label} ({f.key})" if f.key else f.run_label for f in here if f.verdict == verdict]
            if said:
                lines.append(f"  {mark} {', '.join(said)}")
    if not lines:
        return ["Nothing in this study speaks to a published claim."]
    missed = not_reproduced(found)
    if missed:
        lines += ["", "What does not reproduce, or only in part:"]
        lines += [f"  {MARKS[f.verdict]} {f.sentence}" for f in missed]
    elif any(f.verdict == "holds" for f in found):
        lines += ["", "Every claim that could be judged holds."]
    return lines


def as_dicts(found: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings as plain data, for ``findings.json``."""
    return [asdict(f) for f in found]
