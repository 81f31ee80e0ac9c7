"""What a finding is, and the one rule by which rank correlations are judged."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from kpe_core.measure.bootstrap import Z
from kpe_core.report.wording import bracket, finite, signed

Verdict = Literal["holds", "partly", "fails", "measured"]
Answers = Mapping[str, pa.Table]
Row = dict[str, Any]

FEWEST = 10
"""Samples below which nothing is judged: Fisher's and the bootstrap's intervals mean little there."""


@dataclass(frozen=True)
class Finding:
    """One published claim held against one run (or one experiment's shapings)."""

    topic: str
    run_label: str
    verdict: Verdict
    sentence: str
    analysis: str
    """Name of the analysis whose table holds the numbers."""
    key: str = ""
    """The number that decided, for a table's cell."""


@dataclass(frozen=True)
class Trend:
    """A Spearman correlation with its 95 % interval, plain and with what may explain it held fixed. None: unknown."""

    n: int
    rho: float | None
    low: float | None
    high: float | None
    given: float | None
    given_low: float | None
    given_high: float | None
    """Of the partial correlation given ‖x(1)‖."""
    given_both: float | None = None
    """Given ‖x(1)‖ and ‖x(1) − x(0)‖."""
    within_class: float | None = None

    @classmethod
    def of(cls, row: Row) -> "Trend":
        """From a row of ``density_correlation`` or ``trends``."""
        names = ("rho", "low", "high", "given_norm", "given_norm_low", "given_norm_high", "given_both", "within_class")
        return cls(int(row["n"]), *(finite(row.get(name)) for name in names))

    @property
    def text(self) -> str:
        """ρ with its interval."""
        return _with_interval(self.rho, self.low, self.high)

    @property
    def given_text(self) -> str:
        """ρ given the norm, with its interval."""
        return _with_interval(self.given, self.given_low, self.given_high)

    @property
    def further(self) -> str:
        """ρ given the displacement too, and the plain one within classes; empty where there is neither."""
        told = [("with the displacement too", self.given_both), ("within classes, the norm free,", self.within_class)]
        said = [f"{what} {signed(rho)}" for what, rho in told if rho is not None]
        return f" ({'; '.join(said)})" if said else ""

    def judge(self, sign: int) -> Verdict:
        """Whether ρ has the published sign (±1), and still has at least half of it when the norm is held fixed.

        An interval that excludes zero holds; ``partly`` where the partial correlation's does not, or where it is less
        than half as large; else it fails. Fewer than ``FEWEST`` samples, or NaN, are only measured.
        """
        if self.rho is None or self.low is None or self.high is None or self.n < FEWEST:
            return "measured"
        if _least(sign, self.low, self.high) <= 0:
            return "fails"
        if self.given is None or self.given_low is None or self.given_high is None:
            return "holds"
        shrunk = sign * self.given < 0.5 * sign * self.rho
        return "partly" if shrunk or _least(sign, self.given_low, self.given_high) <= 0 else "holds"

    def seen(self, sign: int) -> str:
        """What a failing ρ shows instead."""
        assert self.low is not None
        assert self.high is not None
        return "the opposite direction" if _least(-sign, self.low, self.high) > 0 else "no clear relation"

    def norm(self, sign: int) -> str:
        """What holding the norm fixed leaves of ρ, in a few words; empty where nothing is lost."""
        if self.judge(sign) != "partly" or self.given_low is None or self.given_high is None:
            return ""
        if _least(-sign, self.given_low, self.given_high) > 0:
            return "given the norm, the sign turns round"
        if _least(sign, self.given_low, self.given_high) <= 0:
            return "the norm explains it"
        return "most of it goes with the norm"


def rows(answers: Answers, analysis: str) -> list[Row]:
    """An answer's rows; none where the analysis was not run."""
    return answers[analysis].to_pylist() if analysis in answers else []


def by_run(answers: Answers, analysis: str) -> dict[str, list[Row]]:
    """An answer's rows by run label, in the study's order."""
    grouped: dict[str, list[Row]] = {}
    for row in rows(answers, analysis):
        grouped.setdefault(row["run_label"], []).append(row)
    return grouped


def by_space(here: list[Row]) -> dict[str, list[Row]]:
    """A run's rows by the space they are about, the coordinates first, then in order; rows without a space are left out."""
    spaces = list(dict.fromkeys(row["space"] for row in here if row.get("space") is not None))
    return {space: [r for r in here if r.get("space") == space] for space in sorted(spaces, key=lambda s: s != "data")}


def shaped_runs(answers: Answers) -> set[str]:
    """Labels of the runs that are shaped and have a plain twin: of findings they get shaping's, and Lemma 5.1's."""
    return {r["run_label"] for r in rows(answers, "shaping_tradeoff") if not r["plain"]}


def without_semantics(answers: Answers, run_label: str) -> bool:
    """Whether a run has no classifier, as the 2-D sets have none."""
    return all(
        row["score"] is None or math.isnan(row["score"]) for row in by_run(answers, "kpe_quantiles").get(run_label, [])
    )


def combined(verdicts: list[Verdict]) -> Verdict:
    """Of several verdicts on one claim: what all say, else ``partly``. Those only measured do not vote."""
    said = {v for v in verdicts if v != "measured"}
    if not said:
        return "measured"
    return said.pop() if len(said) == 1 else "partly"


def share_ends(share: float, n: int, low: Any, high: Any) -> tuple[float, float]:
    """The bootstrap's 95 % interval of a share, or Wilson's where none or all count and resampling cannot differ."""
    ends = finite(low), finite(high)
    if share not in (0, 1) and ends[0] is not None and ends[1] is not None:
        return ends[0], ends[1]
    middle, half = share + Z**2 / (2 * n), math.sqrt(Z**2 * (share * (1 - share) / n + Z**2 / (4 * n * n)))
    return max(0.0, (middle - half) / (1 + Z**2 / n)), min(1.0, (middle + half) / (1 + Z**2 / n))


def _least(sign: int, low: float, high: float) -> float:
    """The interval's end nearest to the other sign, positive when the interval has the sign asked for."""
    return min(sign * low, sign * high)


def _with_interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "undefined"
    if low is None or high is None:
        return signed(value)
    return f"{signed(value)} {bracket(signed(low), signed(high))}"
