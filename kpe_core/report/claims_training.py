"""What longer training does: memorization sets in, after quality has come ([BO])."""

from kpe_core.report.claims import FEWEST, Answers, Finding, Row, Verdict, rows, share_ends
from kpe_core.report.wording import bracket, finite, percent, significant

PUBLISHED = "F_mem grows with training time once it has set in [BO]"


Family = dict[str, list[Row]]
"""Rows of ``training`` by feature space ("" without), each in order of the steps; all but the Fréchet distance repeats."""


def families(answers: Answers, skip: set[str]) -> dict[str, Family]:
    """Families of more than one step; without shaped runs, which are asked something else."""
    grouped: dict[str, Family] = {}
    for row in rows(answers, "training"):
        if row["run_label"] not in skip:
            grouped.setdefault(row["family"], {}).setdefault(row["space"] or "", []).append(row)
    return {family: spaces for family, spaces in grouped.items() if len(steps_of(spaces)) > 1}


def steps_of(family: Family) -> list[Row]:
    """One row a step."""
    return next(iter(family.values()))


def memorization_sets_in(answers: Answers, skip: set[str]) -> list[Finding]:
    """F_mem after the last step against after the first; what quality and late energy do meanwhile."""
    found = []
    for family, spaces in families(answers, skip).items():
        here = steps_of(spaces)
        shares = [finite(row["f_mem"]) for row in here]
        if any(share is None for share in shares):
            continue
        known = [share for share in shares if share is not None]
        first, last = (
            share_ends(known[i], int(here[i]["n"]), here[i]["f_mem_low"], here[i]["f_mem_high"]) for i in (0, -1)
        )
        verdict = _judged(known, first, last, min(int(row["n"]) for row in here))
        told = {
            "holds": f"as published ({PUBLISHED})",
            "partly": f"more than at first, but less than on the way, where a rise was published ({PUBLISHED})",
            "fails": f"no clear rise, where one was published ({PUBLISHED})",
            "measured": "nothing is memorized yet" if not any(known) else "too few samples to judge",
        }[verdict]
        ends = bracket(*(percent(end).removesuffix(" %") for end in last))
        sentence = (
            f"{family}: from training step {here[0]['training_step']} to {here[-1]['training_step']}, F_mem goes "
            f"{_path([percent(s).removesuffix(' %') for s in known])} % {ends}: {told}{_meanwhile(spaces)}."
        )
        key = f"{percent(known[0], 0).removesuffix(' %')} → {percent(known[-1], 0)}"
        found.append(Finding("Longer training memorizes more", family, verdict, sentence, "training", key))
    return found


def _judged(shares: list[float], first: tuple[float, float], last: tuple[float, float], n: int) -> Verdict:
    if n < FEWEST or not any(shares):
        return "measured"
    if last[0] <= first[1]:
        return "fails"
    return "partly" if max(shares) > last[1] else "holds"


def _meanwhile(spaces: Family) -> str:
    """Quality and late energy on the way, where they were measured."""
    said = []
    for space, here in spaces.items():
        quality = [finite(row["frechet"]) for row in here]
        if all(q is not None for q in quality):
            best = min(range(len(here)), key=lambda i: quality[i] or 0.0)
            path = _path([significant(q or 0.0) for q in quality])
            said.append(f"the Fréchet distance in {space} goes {path}, least at step {here[best]['training_step']}")
    late = [finite(row["kpe_late"]) for row in steps_of(spaces)]
    if all(e is not None for e in late):
        said.append(f"mean late energy goes {_path([significant(e or 0.0) for e in late])}")
    return "".join(f"; {part}" for part in said)


def _path(values: list[str]) -> str:
    return " → ".join(values)
