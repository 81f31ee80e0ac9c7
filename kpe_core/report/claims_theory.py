"""Claims about the exact field: Theorem 4.2, Lemma 5.1 and Proposition 5.2 of [KE], worked out as in METHOD §7."""

import math
from dataclasses import dataclass

from kpe_core.measure.bootstrap import Z
from kpe_core.report.claims import FEWEST, Answers, Finding, Row, Verdict, by_run, combined
from kpe_core.report.wording import bracket, finite, fixed, percent, significant

DOMINATED = 0.95
"""Share of samples with a posterior weight above 0.9 from which Theorem 4.2 and Lemma 5.1 are held to speak of a run."""
SLOPE_WITHIN, R2_WITHIN, GROWTH_WITHIN = 0.10, 0.05, 0.02
"""How near a measured slope (relative), R² and exponent must come to the predicted ones."""
LOOSE = 0.9
"""R² below which "affine" is called loose."""
LISTED = 3
"""Learned runs a sentence spells out."""


# -- Theorem 4.2 -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fit:
    """The regression of ‖v*‖² on −log p_t at one time, with 95 % intervals, and what is predicted of it."""

    t: float
    n: int
    share: float
    slope: float
    slope_theory: float
    r2: float
    r2_theory: float

    @classmethod
    def of(cls, row: Row) -> "Fit | None":
        """From a row of ``theorem_4_2``; None where a number is missing."""
        names = ("t", "n", "share_90", "slope", "slope_theory", "r2", "r2_theory")
        numbers = [x for name in names if (x := finite(row[name])) is not None]
        if len(numbers) < len(names) or row["n"] < FEWEST:
            return None
        t, n, *rest = numbers
        return cls(t, int(n), *rest)

    @property
    def slope_interval(self) -> tuple[float, float]:
        """± 1.96 standard errors of least squares, slope √((1/R² − 1)/(n − 2))."""
        if self.r2 == 0:
            return -math.inf, math.inf
        half = Z * abs(self.slope) * math.sqrt(max(0.0, 1 / self.r2 - 1) / (self.n - 2))
        return self.slope - half, self.slope + half

    @property
    def r2_interval(self) -> tuple[float, float]:
        """Fisher's z of the correlation √R², squared back."""
        if self.r2 >= 1:
            return 1.0, 1.0
        z, half = math.atanh(math.sqrt(self.r2)), Z / math.sqrt(self.n - 3)
        return math.tanh(max(0.0, z - half)) ** 2, math.tanh(z + half) ** 2

    def judge(self) -> Verdict:
        """Near enough: holds. Not near, and the prediction outside the interval: fails. Else the samples cannot tell."""
        slope_near = abs(self.slope - self.slope_theory) <= SLOPE_WITHIN * self.slope_theory
        r2_near = abs(self.r2 - self.r2_theory) <= R2_WITHIN
        if slope_near and r2_near:
            return "holds"
        slope_off = not slope_near and not _within(self.slope_theory, self.slope_interval)
        r2_off = not r2_near and not _within(self.r2_theory, self.r2_interval)
        return "fails" if slope_off or r2_off else "measured"

    @property
    def text(self) -> str:
        slope, r2 = (bracket(fixed(low), fixed(high)) for low, high in (self.slope_interval, self.r2_interval))
        return (
            f"slope {fixed(self.slope)} {slope} (predicted {fixed(self.slope_theory)}) and R² {fixed(self.r2)} {r2} "
            f"({fixed(self.r2_theory)})"
        )


def theorem_4_2(answers: Answers) -> list[Finding]:
    """Where one weight dominates, ‖v*‖² is affine in −log p_t, with the slope and R² that the theorem, worked out, gives.

    Of plain runs: shaped paths leave the bridge's own distribution.
    """
    found = []
    for label, here in by_run(answers, "theorem_4_2").items():
        if here[0]["shaped"]:
            continue
        fits = [fit for row in here if row["share_90"] >= DOMINATED and (fit := Fit.of(row)) is not None]
        verdict, told = _judged(fits) if fits else ("measured", _not_judged(here))
        key = f"R² {fixed(fits[0].r2)} ({fixed(fits[0].r2_theory)})" if fits else ""
        topic = "Power is affine in −log density (Theorem 4.2)"
        found.append(Finding(topic, label, verdict, f"{label}: {told}.", "theorem_4_2", key))
    return found


def _judged(fits: list[Fit]) -> tuple[Verdict, str]:
    verdicts = [fit.judge() for fit in fits]
    verdict = combined(verdicts)
    # Told by the earliest time that decides anything, and one that decides otherwise.
    shown = next((fit for fit, v in zip(fits, verdicts, strict=True) if v != "measured"), fits[0])
    other = [fit for fit, v in zip(fits, verdicts, strict=True) if v not in ("measured", shown.judge())]
    match verdict:
        case "holds":
            told = "as predicted"
        case "fails":
            told = "not as predicted"
        case "measured":
            told = "too few samples to tell"
        case "partly":
            words = ("as predicted", "but not") if shown.judge() == "holds" else ("not as predicted", "but so")
            told = f"{words[0]}, {words[1]} at t = {fixed(other[-1].t)}, with {other[-1].text}"
    loose = f"; “affine” is loose here, {percent(1 - shown.r2, 0)} of the variance is left" if shown.r2 < LOOSE else ""
    return verdict, (
        f"at t = {fixed(shown.t)}, where one posterior weight exceeds 0.9 for {percent(shown.share, 0)} of the samples, "
        f"the regression of ‖v*‖² on −log p_t has {shown.text}: {told}{loose}"
    )


def _not_judged(here: list[Row]) -> str:
    if here[-1]["n"] < FEWEST:
        return "too few samples to judge"
    most = max(here, key=lambda row: row["share_90"])
    return (
        f"one posterior weight exceeds 0.9 for no more than {percent(most['share_90'], 0)} of the samples "
        f"(at t = {fixed(most['t'])}), and the theorem speaks of paths where one dominates"
    )


def _within(value: float, interval: tuple[float, float]) -> bool:
    return interval[0] <= value <= interval[1]


# -- Lemma 5.1 ---------------------------------------------------------------------------------------------------------


def terminal_growth(answers: Answers) -> list[Finding]:
    """Near its atom the velocity is bounded without shaping, and grows under landing as σ^−c."""
    dominated = {label: here[-1]["share_90"] >= DOMINATED for label, here in by_run(answers, "theorem_4_2").items()}
    found = []
    for label, (row, *_) in by_run(answers, "terminal_growth").items():
        c, low, high, said = (finite(row[name]) for name in ("growth", "low", "high", "growth_theory"))
        if c is None or low is None or high is None or said is None:
            continue
        verdict = _judge_growth(c, said) if row["n"] >= FEWEST and dominated.get(label, False) else "measured"
        interval = bracket(fixed(low, 3), fixed(high, 3))
        seen = "it grows" if c > GROWTH_WITHIN else "it stays bounded"
        told = {
            "holds": f"{seen}, as the gains and steps say",
            "partly": f"{seen}, though not at the rate the gains and steps say",
            "fails": f"{seen}, which the gains and steps do not say",
            "measured": "too few samples to judge"
            if row["n"] < FEWEST
            else "no single training point rules these paths",
        }[verdict]
        sentence = (
            f"{label}: over the last fifth of the grid ‖v‖/γ̇ goes as σ^−c with c = {fixed(c, 3)} {interval} "
            f"(predicted {fixed(said, 3)}): {told}{_cost(row)}."
        )
        topic = "The velocity grows at the end under landing alone (Lemma 5.1)"
        found.append(Finding(topic, label, verdict, sentence, "terminal_growth", f"c {fixed(c)}"))
    return found


def _judge_growth(c: float, said: float) -> Verdict:
    if abs(c - said) <= GROWTH_WITHIN:
        return "holds"
    return "partly" if (c > GROWTH_WITHIN) == (said > GROWTH_WITHIN) else "fails"


def _cost(row: Row) -> str:
    """What the growth does to power and energy, beside the plain twin where there is one."""
    told = ""
    twin = finite(row["plain_peak_power"])
    if twin is not None:
        told = (
            f"; mean peak power is {significant(row['peak_power'])} (plain {significant(twin)}), mean KPE "
            f"{significant(row['kpe'])} (plain {significant(row['plain_kpe'])})"
        )
    return told + ("; with ever more steps its energy has no limit" if row["diverges"] else "")


# -- Proposition 5.2 ---------------------------------------------------------------------------------------------------


def proposition_5_2(answers: Answers) -> list[Finding]:
    """The exact field peaks higher than a learned one and memorizes more, on the same noise."""
    found = []
    for label, here in by_run(answers, "exact_against_learned").items():
        judged = [_judge_pair(row) for row in here]
        verdict = combined([v for pair in judged for v in pair])
        pairs = "; ".join(_pair(row) for row in here[:LISTED])
        more = f"; {len(here) - LISTED} more are in the table" if len(here) > LISTED else ""
        peaks, copies = (combined(list(column)) for column in zip(*judged, strict=True))
        told = {
            "holds": "higher peaks and more memorized, as published",
            "partly": f"peaks {_higher(peaks)}, memorized shares {_higher(copies)}, where both were published as higher",
            "fails": "neither higher peaks nor more memorized, as was published",
            "measured": "too few samples to judge",
        }[verdict]
        ratios = [x for row in here if (x := finite(row["ratio"])) is not None]
        key = f"×{significant(min(ratios), 2)}" if ratios else ""
        topic = "The exact field peaks higher and memorizes more (Proposition 5.2)"
        found.append(Finding(topic, label, verdict, f"{label}: {pairs}{more}: {told}.", "exact_against_learned", key))
    return found


def _judge_pair(row: Row) -> tuple[Verdict, Verdict]:
    """Of peak power, by the paired share of samples; of memorization, by intervals that do not overlap."""
    if row["n"] < FEWEST:
        return "measured", "measured"
    return (
        "holds" if row["higher_low"] > 0.5 else "fails",
        "holds" if row["f_mem_low"] > row["learned_f_mem_high"] else "fails",
    )


def _higher(verdict: Verdict) -> str:
    return {"holds": "higher", "partly": "higher in part", "fails": "not higher", "measured": "not judged"}[verdict]


def _pair(row: Row) -> str:
    return (
        f"beside {row['learned']}, the exact path peaks higher for {_share(row, 'higher')} of {row['n']} samples (mean "
        f"peak power {significant(row['peak_power'])} against {significant(row['learned_peak_power'])}, median ratio "
        f"{significant(row['ratio'])}), and {_share(row, 'f_mem')} against {_share(row, 'learned_f_mem')} are memorized"
    )


def _share(row: Row, name: str) -> str:
    low, high = (percent(row[f"{name}_{end}"]).removesuffix(" %") for end in ("low", "high"))
    return f"{percent(row[name])} {bracket(low, high)}"
