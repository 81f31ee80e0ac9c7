"""Claims about kinetic trajectory shaping ([KE] table 3), each judged by the paired interval of a difference.

Settings of one experiment are judged together: one finding for each claim, not one for each run.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from kpe_core.report.claims import FEWEST, Answers, Finding, Row, Verdict, combined, rows
from kpe_core.report.wording import MINUS, bracket, finite, percent, points, significant

LISTED = 3
"""Settings whose numbers a sentence spells out; of more it tells the range."""


@dataclass(frozen=True)
class Change:
    """A metric of a shaped run, and its paired difference to the plain twin with a 95 % interval."""

    metric: str
    value: float
    delta: float
    low: float
    high: float
    n: int

    def judge(self) -> Verdict:
        """Whether the metric falls: both F_mem and the Fréchet distance are better smaller."""
        if self.n < FEWEST or self.nothing_to_lower:
            return "measured"
        return "holds" if self.high < 0 else "fails"

    @property
    def nothing_to_lower(self) -> bool:
        """Whether neither the run nor its plain twin memorizes anything."""
        return self.metric == "f_mem" and self.value == 0 == self.delta

    @property
    def text(self) -> str:
        """``57.3 → 52.7 %, −4.65 points [−5.60, −3.70]``."""
        if self.metric == "f_mem":
            ends = f"{percent(self.value - self.delta).removesuffix(' %')} → {percent(self.value)}"
            change, interval = f"{points(self.delta)} points", bracket(points(self.low), points(self.high))
        else:
            ends = f"{significant(self.value - self.delta)} → {significant(self.value)}"
            change, interval = _difference(self.delta), bracket(_difference(self.low), _difference(self.high))
        return f"{ends}, {change} {interval}"

    @property
    def short(self) -> str:
        return f"Δ {points(self.delta, 1)} pts" if self.metric == "f_mem" else f"Δ {_difference(self.delta)}"


@dataclass
class Setting:
    """One shaping of an experiment."""

    name: str
    alpha0: float
    beta0: float
    changes: dict[str, Change] = field(default_factory=dict)
    """By metric; those of a space as ``frechet in classifier``."""


@dataclass(frozen=True)
class Claim:
    """A published effect of some settings on one metric, with another metric to tell beside it."""

    topic: str
    of: Callable[[Setting], bool]
    metric: str
    published: str
    beside: str
    beside_published: str


def _launch(s: Setting) -> bool:
    return s.alpha0 > 0 and s.beta0 == 0


def _landing(s: Setting) -> bool:
    return s.alpha0 == 0 and s.beta0 > 0


def _both(s: Setting) -> bool:
    return s.alpha0 > 0 and s.beta0 > 0


CLAIMS = (
    Claim("Landing lowers memorization", _landing, "f_mem", "37.34 → 19.36 % on CelebA", "frechet", "16.68 → 86.56"),
    Claim("Launch with landing lowers memorization", _both, "f_mem", "37.34 → 31.22 % on CelebA", "", ""),
    Claim("Launch with landing improves quality", _both, "frechet", "FID 16.68 → 14.35 on CelebA", "", ""),
    Claim(
        "Launch alone improves quality", _launch, "frechet", "FID 16.68 → 11.27 on CelebA", "f_mem", "37.34 → 36.78 %"
    ),
)


def _metric(key: str) -> str:
    """What a sentence calls a change of ``Setting.changes``."""
    return "F_mem" if key == "f_mem" else key.replace("frechet", "the Fréchet distance")


def shaping(answers: Answers) -> list[Finding]:
    """Findings on every experiment that has shaped runs with a plain twin, claim by claim."""
    found = []
    for claim in CLAIMS:
        for name, (run_label, settings) in experiments(answers).items():
            mine = [s for s in settings if claim.of(s)]
            keys = measured_as(mine, claim.metric)
            for key in keys:
                found.append(_judged(claim, key, name, run_label, [s for s in mine if key in s.changes]))
            if not keys and claim.beside == "f_mem" and (only := [s for s in mine if "f_mem" in s.changes]):
                found.append(_without_quality(name, run_label, only))
    return found


def _without_quality(name: str, run_label: str, chosen: list[Setting]) -> Finding:
    """What launch alone does where no classifier measures quality: nothing was published to hold it against."""
    changes = [s.changes["f_mem"] for s in chosen[:LISTED]]
    listed = "; ".join(f"with {s.name}, F_mem goes {c.text}" for s, c in zip(chosen, changes, strict=False))
    return Finding(
        "Launch alone, without a measure of quality",
        run_label,
        "measured",
        f"{name}: {listed}.",
        "shaping_tradeoff",
        changes[0].short,
    )


def measured_as(settings: list[Setting], metric: str) -> list[str]:
    """Under which keys the settings' changes hold a metric: itself, or one for each space."""
    keys = dict.fromkeys(key for s in settings for key in s.changes)
    return [key for key in keys if key == metric or key.startswith(f"{metric} in ")]


def _judged(claim: Claim, metric: str, name: str, run_label: str, chosen: list[Setting]) -> Finding:
    """``metric``: the key of the changes the claim is held against."""
    changes = [s.changes[metric] for s in chosen]
    verdict = combined([c.judge() for c in changes])
    if len(chosen) <= LISTED:
        listed = "; ".join(
            f"with {s.name}, {_metric(metric)} goes {c.text}" for s, c in zip(chosen, changes, strict=True)
        )
    else:
        strongest, c = min(zip(chosen, changes, strict=True), key=lambda pair: pair[1].delta)
        better = sum(c.judge() == "holds" for c in changes)
        listed = (
            f"{_metric(metric)} is lower in {better} of {len(chosen)} settings, most with {strongest.name}, "
            f"where it goes {c.text}"
        )
    told = {
        "holds": f"as published ({claim.published})",
        "partly": f"published as a fall ({claim.published}), which not every setting shows",
        "fails": f"{_instead(changes)}, where a fall was published ({claim.published})",
        "measured": "nothing to lower" if all(c.nothing_to_lower for c in changes) else "too few samples to judge",
    }[verdict]
    side = ""
    if claim.beside and len(chosen) <= LISTED:
        for key in measured_as(chosen, claim.beside):
            beside = "; ".join(s.changes[key].text for s in chosen if key in s.changes)
            side += f"; {_metric(key)} goes {beside} (published {claim.beside_published})"
    sentence = f"{name}: {listed}: {told}{side}."
    key = min(changes, key=lambda c: c.delta).short
    return Finding(claim.topic, run_label, verdict, sentence, "shaping_tradeoff", key)


def _instead(changes: list[Change]) -> str:
    return "it rises" if all(c.low > 0 for c in changes) else "no clear fall"


def experiments(answers: Answers) -> dict[str, tuple[str, list[Setting]]]:
    """By experiment: the plain twin's label (else the experiment's own), and the shaped settings in order."""
    plain: dict[str, str] = {}
    settings: dict[str, dict[str, Setting]] = {}
    for row in rows(answers, "shaping_tradeoff"):
        label, alpha0, beta0 = row["run_label"], row["alpha0"] or 0.0, row["beta0"] or 0.0
        name = experiment_of(label)
        if row["plain"]:
            plain.setdefault(name, label)
            continue
        here = settings.setdefault(name, {})
        setting = here.setdefault(label, Setting(setting_name(label, alpha0, beta0), alpha0, beta0))
        if (change := _change(row)) is not None:
            setting.changes[change.metric] = change
    return {name: (plain.get(name, name), list(here.values())) for name, here in settings.items()}


def experiment_of(label: str) -> str:
    """A run's label without its shaping, which a sweep writes last."""
    return re.sub(r" (plain|kts\([^()]*\)(\[[^\[\]]*\])?)$", "", label)


def setting_name(label: str, alpha0: float, beta0: float) -> str:
    """``α₀ = 0.01, β₀ = 0.02``, and the forms where the label names some."""
    gains = [f"{name} = {gain:g}" for name, gain in (("α₀", alpha0), ("β₀", beta0)) if gain > 0]
    forms = re.search(r"\[[^\[\]]*\]$", label)
    return ", ".join(gains) + (f" {forms.group()}" if forms else "")


def _change(row: Row) -> Change | None:
    numbers = [finite(row[name]) for name in ("value", "delta", "low", "high")]
    if any(x is None for x in numbers):
        return None
    value, delta, low, high = (x for x in numbers if x is not None)
    space = row.get("space")
    return Change(
        row["metric"] if space is None else f"{row['metric']} in {space}", value, delta, low, high, int(row["n"])
    )


def _difference(value: float) -> str:
    text = significant(value, 3)
    return text if text.startswith((MINUS, "0")) and value <= 0 else f"+{text}"
