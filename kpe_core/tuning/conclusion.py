"""What a tuning found, in sentences and a table, from the answer of ``sql/analyses/tuning_front.sql``."""

from typing import Any

from kpe_core.report.wording import NOTHING, bracket, joined, percent, points, significant

Row = dict[str, Any]

HEADINGS = (
    "",
    "α₀",
    "β₀",
    "τ",
    "launch",
    "landing",
    "k",
    "F_mem",
    "… − plain",
    "Fréchet",
    "… − plain",
    "front",
)
"""Of the table."""


def table(rows: list[Row]) -> list[list[str]]:
    """One line a shaping, under the HEADINGS; a difference beyond its interval bears a star."""
    return [
        [
            _name(row), *(_number(row[name]) for name in ("alpha0", "beta0", "tau")), row["launch"] or NOTHING,
            row["landing"] or NOTHING, _number(row["rate"]),
            f"{percent(row['f_mem'])} {bracket(*(_share(row[f'f_mem_{end}']) for end in ('low', 'high')))}",
            _change(row, "f_mem", points),
            f"{significant(row['frechet'], 4)} {bracket(*(significant(row[f'frechet_{e}'], 4) for e in ('low', 'high')))}",
            _change(row, "frechet", lambda value: significant(value, 3, sign=True)),
            "yes" if row["on_front"] else "no",
        ]
        for row in rows
    ]  # fmt: skip


def sentences(rows: list[Row]) -> list[str]:
    """What the front says of the plain run, of the published settings, and of itself."""
    plain = next(row for row in rows if row["origin"] == "plain")
    front = [row for row in rows if row["on_front"]]
    searched = [row for row in front if row["origin"] == "search"]
    said = [
        f"On the front of F_mem and the Fréchet distance in {plain['space']} "
        f"({plain['n_samples']} samples a run, 95 % intervals, differences paired on the same noise): "
        f"{joined([_name(row) for row in front])}."
    ]
    if plain["on_front"]:
        said.append("The plain run is on it: no shaping tried is at least as good in both.")
    else:
        said.append(_better_than_plain(rows))
    for row in rows:
        if row["origin"] == "published":
            better = [other for other in searched if _beats(other, row)]
            how = "is on the front" if row["on_front"] else f"is beaten in both by {joined([_name(b) for b in better])}"
            if not row["on_front"] and not better:
                how = "is not on the front"
            said.append(f"The published {_setting(row)} {how}.")
    same = [row for row in searched if row["f_mem_differs"] == "no" and row["frechet_differs"] == "no"]
    if same:
        said.append(
            f"No different from the plain run beyond their intervals, in either: {joined([_name(r) for r in same])}."
        )
    said.append("The front was chosen on the noise it is measured on; on other noise it may do a little less well.")
    return said


def _better_than_plain(rows: list[Row]) -> str:
    sure = [r for r in rows if r["on_front"] and r["f_mem_differs"] == "lower" and r["frechet_differs"] == "lower"]
    if sure:
        return f"Better than the plain run in both, beyond the intervals: {joined([_name(row) for row in sure])}."
    return "The plain run is not on it, but none of the front is better in both beyond the intervals."


def _beats(row: Row, other: Row) -> bool:
    return bool(row["f_mem"] <= other["f_mem"] and row["frechet"] <= other["frechet"])


def _name(row: Row) -> str:
    match row["origin"]:
        case "plain":
            return "plain"
        case "published":
            return f"published {_setting(row)}"
        case _:
            return f"trial {row['trial']}"


def _setting(row: Row) -> str:
    return f"({row['alpha0']:g}, {row['beta0']:g})"


def _change(row: Row, metric: str, spelled: Any) -> str:
    """A paired difference with its interval."""
    delta, low, high = (row[f"{metric}_delta{end}"] for end in ("", "_low", "_high"))
    if delta is None:
        return NOTHING
    star = "" if row[f"{metric}_differs"] == "no" else " *"
    return f"{spelled(delta)} {bracket(spelled(low), spelled(high))}{star}"


def _share(value: float) -> str:
    return percent(value).removesuffix(" %")


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:g}"
