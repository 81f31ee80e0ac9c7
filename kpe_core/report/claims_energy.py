"""Claims about what rises with energy: semantic score and margin ([KE] figure 2), the memorized share ([KE] §6)."""

from kpe_core.report.claims import (
    FEWEST,
    Answers,
    Finding,
    Row,
    Trend,
    Verdict,
    by_run,
    by_space,
    combined,
    share_ends,
    without_semantics,
)
from kpe_core.report.wording import bracket, finite, joined, percent, signed, significant

_PARTS = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 10: "tenth"}
PUBLISHED = "CLIP score 21.87 → 24.62 and margin 5.66 → 8.93 on ImageNet-256"


def semantics(answers: Answers, skip: set[str]) -> list[Finding]:
    """Score and margin rise with KPE in every space that reads classes, also with the norm held fixed."""
    found = []
    parts = by_run(answers, "semantics_by_tercile")
    for label, here in by_run(answers, "trends").items():
        for space, of_space in by_space(here).items():
            means = by_space(parts.get(label, [])).get(space, [])
            trends = {r["quantity"]: Trend.of(r) for r in of_space if r["quantity"] in ("score", "margin")}
            if label not in skip and trends and means:
                found.append(_semantics_in(label, space, trends, means))
    return found


def _semantics_in(label: str, space: str, trends: dict[str, Trend], means: list[Row]) -> Finding:
    names: list[str] = [name for name in ("score", "margin") if name in trends]
    chosen = [trends[name] for name in names]
    verdict = combined([t.judge(+1) for t in chosen])
    changes = [f"the {name}{' goes' if name == names[0] else ''} {_low_to_high(means, name)}" for name in names]
    about = (
        f"{label}, read by {space}: from the lowest to the highest {_part(means)} of KPE {joined(changes)} "
        f"(ρ = {joined([t.text for t in chosen])})"
    )
    given = f"with ‖x(1)‖ held fixed ρ is {joined([f'{t.given_text}{t.further}' for t in chosen])}"
    match verdict:
        case "measured":
            sentence = f"{about}: too few samples to judge."
        case "fails":
            seen = joined(sorted({t.seen(+1) for t in chosen}))
            sentence = f"{about}: {seen}, where a rise was published ({PUBLISHED}); {given}."
        case _:
            told = joined(list(dict.fromkeys(t.norm(+1) for t in chosen if t.norm(+1))))
            rising = [name for name in names if trends[name].judge(+1) in ("holds", "partly")]
            who = "rising" if rising == names else f"of which only the {joined(rising)} rises"
            sentence = f"{about}, {who} as published ({PUBLISHED}); {given}{f': {told}' if told else ''}."
    key = f"ρ {' / '.join(signed(t.rho) for t in chosen if t.rho is not None)} by {space}"
    return Finding("Score and margin rise with energy", label, verdict, sentence, "trends", key)


def memorized_trend(answers: Answers, skip: set[str]) -> list[Finding]:
    """The memorized share rises with KPE. Says nothing where all samples agree: there is no trend to see."""
    found = []
    trends = {
        label: Trend.of(row)
        for label, here in by_run(answers, "trends").items()
        for row in here
        if row["quantity"] == "memorized"
    }
    for label, (row, *_) in by_run(answers, "memorization").items():
        trend = trends.get(label)
        if label in skip or trend is None or trend.rho is None:
            continue
        verdict = trend.judge(+1)
        shares = [finite(row[f"q{i}"]) for i in range(1, 6)]
        fifths = [percent(s, 0) for s in shares if s is not None]
        about = f"{label}: the memorized share by fifth of KPE is {' → '.join(fifths)} (ρ = {trend.text})"
        told = trend.norm(+1)
        given = f"; with ‖x(1)‖ held fixed ρ is {trend.given_text}{trend.further}{f': {told}' if told else ''}"
        match verdict:
            case "measured":
                sentence = f"{about}: too few samples to judge."
            case "fails":
                sentence = f"{about}: {trend.seen(+1)}, where a rise was published{given}."
            case _:
                sentence = f"{about}, rising as published{given}{_late(answers, label)}."
        key = f"ρ {signed(trend.rho)}"
        found.append(Finding("The memorized share rises with energy", label, verdict, sentence, "memorization", key))
    return found


def memorized_level(answers: Answers, skip: set[str]) -> list[Finding]:
    """F_mem with its interval. In high dimension the exact field should memorize every sample ([KE] prop. 5.2)."""
    found = []
    for label, (row, *_) in by_run(answers, "memorization").items():
        share, n = finite(row["f_mem"]), int(row["n"])
        if label in skip or share is None:
            continue
        verdict: Verdict = "measured"
        about = f"{label}: {percent(share)} {_share_interval(row, share, n)} of {n} samples are memorized"
        if row["field"] != "exact":
            sentence = f"{about}."
        elif share == 1:
            verdict = "holds" if n >= FEWEST else "measured"
            sentence = f"{about}, as the exact field should in high dimension."
        elif without_semantics(answers, label):
            sentence = (
                f"{about}, not all, although the field is exact (that it copies every time is said of high dimension)."
            )
        else:
            verdict = "fails" if n >= FEWEST else "measured"
            sentence = f"{about}, where the exact field should copy every time."
        found.append(Finding("How much is memorized", label, verdict, sentence, "memorization", percent(share, 0)))
    return found


def _low_to_high(here: list[Row], name: str) -> str:
    """A quantity's mean ± standard deviation in the lowest and in the highest part of energy."""
    parts = [row for row in here if row["quantity"] == name]
    ends = [(finite(row["mean"]), finite(row["sd"])) for row in (parts[0], parts[-1])]
    return " → ".join(
        "undefined" if mean is None else significant(mean) + (f" ± {significant(sd)}" if sd is not None else "")
        for mean, sd in ends
    )


def _part(here: list[Row]) -> str:
    return _PARTS.get(max(row["quantile"] for row in here), "quantile")


def _late(answers: Answers, label: str) -> str:
    """Which part of the energy ranks memorization better; empty where it cannot be told."""
    for row in by_run(answers, "early_late").get(label, []):
        early, late = finite(row["rho_early"]), finite(row["rho_late"])
        if early is not None and late is not None:
            return f"; ρ is {signed(late)} for the late part of the energy, {signed(early)} for the early"
    return ""


def _share_interval(row: Row, share: float, n: int) -> str:
    low, high = share_ends(share, n, row["low"], row["high"])
    return bracket(percent(low).removesuffix(" %"), percent(high).removesuffix(" %"))
