"""The figure about training time: memorized share, Fréchet distance, late energy and loss against training steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kpe_core.report import claims_training
from kpe_core.report.claims import Row, share_ends
from kpe_core.report.claims_training import Family, steps_of
from kpe_core.report.drawing import INK, MARKERS, OKABE_ITO, literal, panels, style
from kpe_core.report.material import StudyRun
from kpe_core.report.wording import finite
from kpe_core.stages.manifest import registered
from kpe_core.stages.resolve import network_box
from kpe_core.store.store import Store


@dataclass(frozen=True)
class Panel:
    column: str
    words: str
    factor: float = 1.0
    space: str | None = None
    """Where the column differs by feature space."""


def families(answers: Mapping[str, pa.Table], runs: dict[str, StudyRun]) -> dict[str, Family]:
    """Families of ``runs`` (by label); as many as can be told apart."""
    skip = (
        {row["run_label"] for row in answers["training"].to_pylist()} - runs.keys() if "training" in answers else set()
    )
    found = claims_training.families(answers, skip)
    return dict(list(found.items())[: len(OKABE_ITO)])


def over_steps(store: Store, families: dict[str, Family], runs: dict[str, StudyRun]) -> Figure:
    """One panel a quantity, one line a family."""
    told = _told(families)
    figure, axes = panels(len(told) + 1, columns=2)
    for i, (family, spaces) in enumerate(families.items()):
        for ax, panel in zip(axes, told, strict=False):
            here = steps_of(spaces) if panel.space is None else spaces.get(panel.space, [])
            _line(ax, i, here, panel, family if ax is axes[0] else None)
        curve = np.asarray(_curve(store, runs[steps_of(spaces)[-1]["run_label"]]))
        axes[-1].plot(curve[:, 0], curve[:, 1], color=OKABE_ITO[i], linewidth=1)
    for ax, panel in zip(axes, told, strict=False):
        style(ax, "", "training step", panel.words)
        ax.set_ylim(bottom=0)
    style(axes[-1], "", "training step", "loss per coordinate")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False, labelcolor=INK)
    return figure


def _told(families: dict[str, Family]) -> list[Panel]:
    """What was measured: memorization, the Fréchet distance space by space, late energy."""
    rows = [(space, row) for spaces in families.values() for space, here in spaces.items() for row in here]
    measured = dict.fromkeys(space for space, row in rows if finite(row["frechet"]) is not None)
    return [
        Panel("f_mem", "memorized [%]", 100.0),
        *(Panel("frechet", f"Fréchet distance, {space}", space=space) for space in measured),
        Panel("kpe_late", "mean late energy"),
    ]


def _line(ax: Axes, i: int, here: list[Row], panel: Panel, label: str | None) -> None:
    name, factor = panel.column, panel.factor
    known = [row for row in here if finite(row[name]) is not None]
    ends = [_ends(row, name) for row in known]
    y = np.asarray([row[name] for row in known])
    around = np.clip(np.stack([y - [low for low, _ in ends], [high for _, high in ends] - y]), 0, None)
    ax.errorbar(
        [row["training_step"] for row in known], factor * y, yerr=factor * around, color=OKABE_ITO[i],
        marker=MARKERS[i], markersize=5, linewidth=1.4, capsize=2, label=literal(label) if label else None,
    )  # fmt: skip


def _ends(row: Row, name: str) -> tuple[float, float]:
    """Ends of a quantity's interval; the quantity itself where it has none."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if name == "f_mem":
        return share_ends(row[name], int(row["n"]), low, high)
    return tuple(row[name] if (end := finite(e)) is None else end for e in (low, high))  # type: ignore[return-value]


def _curve(store: Store, run: StudyRun) -> list[Any]:
    """Steps and losses of the run's training."""
    spec = registered(store, run.run)
    card = network_box(store, spec, spec.fingerprint).card()
    assert card is not None
    return list(card["curve"])
