"""One self-contained HTML page: findings, figures, every answer with its SQL, checks, provenance. No request leaves it."""

import base64
import hashlib
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kpe_core.catalog.analyses import Analysis, analyses
from kpe_core.report.drawing import FigureEntry, data_uri
from kpe_core.report.findings import MARKS, Finding, by_topic, not_reproduced, tally
from kpe_core.report.material import Material, StudyRun
from kpe_core.report.wording import cell
from kpe_core.study.specs import ShapingSpec, Study

TEMPLATES = Path(__file__).parent
MOST_ROWS = 100
"""Rows of an answer that are shown whole; of more, some evenly spaced ones of each run."""

WORDS = {"holds": "holds", "partly": "in part", "fails": "fails", "measured": "measured"}
_DEFAULT_SHAPING = ShapingSpec()


@dataclass(frozen=True)
class Table:
    """An answer ready to be shown: cells as text with what they sort by, and which columns are numbers."""

    name: str
    analysis: Analysis
    sql: str
    """For ``kpe sql``, as it stands."""
    columns: list[str]
    numeric: list[bool]
    rows: list[list[tuple[str, Any]]]
    note: str


def render(
    study: Study,
    answers: Mapping[str, pa.Table],
    findings: Sequence[Finding],
    figures: Sequence[FigureEntry],
    facts: Material,
) -> str:
    """The page. Everything in it is escaped; nothing in it is fetched."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": cell, "unbroken": _unbroken}
    template = (TEMPLATES / "template.html").read_text(encoding="utf-8")
    return environment.get_template("template.html").render(
        study=study,
        own_script=_hash_of_script(template),
        title=study.title or study.name,
        expectations=[(e.name, e.expect) for e in study.experiments if e.expect],
        tally=tally(findings),
        marks=MARKS,
        words=WORDS,
        topics={topic: [(f, *_head(f.sentence)) for f in here] for topic, here in by_topic(findings).items()},
        glance=_glance(findings),
        missed=_missed(findings),
        runs=[(run, *_described(run)) for run in facts.runs],
        facts=facts,
        figures=[(entry, data_uri(entry.png), *_pixels(entry.png)) for entry in figures],
        tables=[_table(study, a, answers[a.name]) for a in analyses() if a.name in answers],
    )


def _hash_of_script(template: str) -> str:
    """Of the page's own script, as browsers want it: they run no other, whatever came of a text."""
    script = template.rpartition("<script>")[2].partition("</script>")[0]
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _head(sentence: str) -> tuple[str, str]:
    """A finding's sentence, parted after the run it speaks of."""
    head, colon, rest = sentence.partition(": ")
    return (head, rest) if colon else ("", sentence)


def _unbroken(sentence: str) -> str:
    """No line break inside an interval, before a percent sign or after a comparison."""
    kept = re.sub(r"\[[^\]]*\]", lambda m: m.group().replace(" ", "\u00a0"), sentence)
    return re.sub(r" (?=%)|(?<=[=<]) | (?=[=<])", "\u00a0", kept)


def _glance(findings: Sequence[Finding]) -> tuple[list[str], list[tuple[str, list[list[Finding]]]]]:
    """Runs, and each claim with its findings by run, one a feature space: the whole study in one grid."""
    runs = list(dict.fromkeys(f.run_label for f in findings))
    grid = []
    for topic, here in by_topic(findings).items():
        grid.append((topic, [[f for f in here if f.run_label == run] for run in runs]))
    return runs, grid


def _missed(findings: Sequence[Finding]) -> list[tuple[str, list[Finding], list[Finding]]]:
    """Claims that do not reproduce: where they fail, and where they hold in part only."""
    return [
        (topic, [f for f in here if f.verdict == "fails"], [f for f in here if f.verdict == "partly"])
        for topic, here in by_topic(not_reproduced(findings)).items()
    ]


def _described(run: StudyRun) -> tuple[str, str]:
    """A run's data and shaping in words."""
    facts = run.facts
    data = run.dataset if facts["n_train"] is None else f"{run.dataset}, {facts['n_train']} points"
    prepared = [f"{facts['pool']} px"] if facts["pool"] is not None else []
    prepared.append(facts["scaling"] + (f" ×{facts['scale']:g}" if facts["scale"] != 1 else ""))
    gains = [f"{name} {facts[key]:g}" for name, key in (("α₀", "alpha0"), ("β₀", "beta0")) if facts[key]]
    gains += [f"η {facts['eta']}"] if facts["eta"] is not None else []
    forms = [
        f"{name} {facts[name] if isinstance(facts[name], str) else format(facts[name], 'g')}"
        for name in ("tau", "launch", "landing")
        if gains and facts[name] != getattr(_DEFAULT_SHAPING, name)
    ]
    return f"{data} ({', '.join(prepared)})", ", ".join(gains + forms) or "none"


def _pixels(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG, from its header: the page keeps the place while the picture decodes."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def _table(study: Study, analysis: Analysis, table: pa.Table) -> Table:
    rows: list[dict[str, Any]] = table.to_pylist()
    shown = rows if len(rows) <= MOST_ROWS else _spaced(rows)
    return Table(
        name=analysis.name,
        analysis=analysis,
        sql=analysis.statement(study.name),
        columns=table.column_names,
        numeric=[pa.types.is_integer(f.type) or pa.types.is_floating(f.type) for f in table.schema],
        rows=[[(cell(value), _sort_key(value)) for value in row.values()] for row in shown],
        note=""
        if len(shown) == len(rows)
        else f"Shown: {len(shown)} of {len(rows)} rows, evenly spaced within each run.",
    )


def _sort_key(value: Any) -> str:
    """What a cell sorts by. Sums differ in their last digits from one asking to the next; the page should not."""
    if isinstance(value, float):
        return f"{value:.9g}" if math.isfinite(value) else ""
    return "" if value is None else str(value)


def _spaced(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Evenly spaced rows of every run, its first and last among them."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row.get("run_label"), []).append(row)
    each = max(2, MOST_ROWS // len(groups))
    shown = []
    for here in groups.values():
        picks = sorted({round(i * (len(here) - 1) / (each - 1)) for i in range(each)})
        shown += [here[i] for i in picks]
    return shown
