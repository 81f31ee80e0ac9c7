"""Figures about what goes with energy: memorized share, score, margin; and what shaping trades."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kpe_core.report.claims_shaping import Setting, experiments, measured_as
from kpe_core.report.drawing import GREY, INK, MARKERS, OKABE_ITO, canvas, literal, style
from kpe_core.report.figures_energy import column
from kpe_core.report.material import StudyRun

SERIES = len(OKABE_ITO)
"""Lines one panel can hold apart."""


def memorized_by_energy(answers: dict[str, pa.Table], runs: Sequence[StudyRun]) -> Figure:
    """Memorized share by quintile of KPE with Wilson's interval, one line a run."""
    quantiles = answers["kpe_quantiles"]
    labels = np.asarray(quantiles["run_label"].to_pylist())
    figure = canvas(7.4, 3.8)
    ax = figure.subplots()
    for i, run in enumerate(runs):
        here = quantiles.filter(pa.array(labels == run.label))
        share, low, high = (100 * column(here, name) for name in ("f_mem", "f_mem_low", "f_mem_high"))
        # At shares of 0 and 1 rounding can put the interval's end on the wrong side of the share.
        around = np.clip(np.stack([share - low, high - share]), 0, None)
        _series(ax, i, column(here, "quantile"), share, around, run.label)
    ax.set_ylim(-3, 103)
    _quintiles(ax)
    style(ax, "", "quintile of KPE, lowest to highest", "memorized [%]")
    _legend(figure)
    return figure


def semantics_by_energy(answers: dict[str, pa.Table], runs: Sequence[StudyRun]) -> Figure:
    """Mean score and margin by part of KPE with 95 % intervals of the mean: a row of panels a space, one line a run."""
    table = answers["semantics_by_tercile"]
    labels, read_by, told = (np.asarray(table[name].to_pylist()) for name in ("run_label", "space", "quantity"))
    spaces = list(dict.fromkeys(read_by[np.isin(labels, [run.label for run in runs])].tolist()))
    figure = canvas(8.4, 0.8 + 3.0 * len(spaces))
    grid = figure.subplots(len(spaces), 2, squeeze=False)
    named: set[str] = set()
    for space, axes in zip(spaces, grid, strict=True):
        for i, run in enumerate(runs):
            for ax, name in zip(axes, ("score", "margin"), strict=True):
                here = table.filter(pa.array((labels == run.label) & (read_by == space) & (told == name)))
                if here.num_rows:
                    mean, low, high = (column(here, n) for n in ("mean", "low", "high"))
                    label = run.label if run.label not in named else None
                    _series(ax, i, column(here, "quantile"), mean, np.stack([mean - low, high - mean]), label)
                    named.add(run.label)
        for ax, name in zip(axes, ("score", "margin"), strict=True):
            ax.set_xticks([1, 2, 3])
            style(ax, f"{name.capitalize()}, read by {space}", "third of KPE, lowest to highest", f"mean {name}")
    _legend(figure)
    return figure


def shaping_tradeoff(answers: dict[str, pa.Table]) -> Figure:
    """ΔF_mem against Δ Fréchet distance of every shaping to its plain twin, with paired 95 % intervals."""
    figure = canvas(7.4, 4.4)
    ax = figure.subplots()
    ax.axhline(0, color=GREY, linewidth=1, zorder=0)
    ax.axvline(0, color=GREY, linewidth=1, zorder=0)
    ax.plot([0], [0], marker="+", color=INK, markersize=10)
    ax.annotate("plain", (0, 0), (6, -12), textcoords="offset points", fontsize=8, color=INK)
    families = tradeoffs(answers)
    for i, (name, settings) in enumerate(families.items()):
        colour = OKABE_ITO[i % len(OKABE_ITO)]
        for j, s in enumerate(settings):
            x, y = s.changes[measured_as([s], "frechet")[0]], s.changes["f_mem"]
            ax.errorbar(
                x.delta, 100 * y.delta, xerr=[[x.delta - x.low], [x.high - x.delta]],
                yerr=[[100 * (y.delta - y.low)], [100 * (y.high - y.delta)]],
                marker=MARKERS[i % len(MARKERS)], color=colour, markersize=5, linewidth=1.4, capsize=2,
                label=literal(name) if j == 0 else None,
            )  # fmt: skip
            ax.annotate(
                literal(s.name), (x.delta, 100 * y.delta), (7, 7), textcoords="offset points", fontsize=8, color=INK
            )
    ax.margins(x=0.18, y=0.12)
    style(ax, "", "Δ Fréchet distance (left is better)", "ΔF_mem in points (down is less memorized)")
    if len(families) > 1:
        _legend(figure)
    return figure


def tradeoffs(answers: dict[str, pa.Table]) -> dict[str, list[Setting]]:
    """By experiment, the shapings whose quality (in the first space) and memorization were both compared."""
    complete = {
        name: [s for s in settings if "f_mem" in s.changes and measured_as([s], "frechet")]
        for name, (_, settings) in experiments(answers).items()
    }
    return {name: settings for name, settings in complete.items() if settings}


def _series(ax: Axes, i: int, q: np.ndarray, y: np.ndarray, around: np.ndarray, label: str | None) -> None:
    ax.errorbar(
        q + 0.03 * (i - 2), y, yerr=around, color=OKABE_ITO[i], marker=MARKERS[i], markersize=5, linewidth=1.4,
        capsize=2, label=literal(label) if label else None,
    )  # fmt: skip


def _quintiles(ax: Axes) -> None:
    ax.set_xticks([1, 2, 3, 4, 5])


def _legend(figure: Figure) -> None:
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False, labelcolor=INK)
