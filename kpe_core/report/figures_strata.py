"""Figures across strata and runs: energy where the data are sparse and dense; quality and memorization against energy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from kpe_core.report.drawing import BLUE, GREY, INK, MARKERS, OKABE_ITO, ORANGE, literal, panels, style
from kpe_core.report.material import StudyRun

Row = dict[str, Any]
FEWEST = 3
"""Runs of one experiment from which on they make a curve."""


def strata_of(answers: Mapping[str, pa.Table], label: str) -> list[Row]:
    """A run's strata, sparsest first, by its k-NN density of the data where it has one; none without densities."""
    rows = [r for r in answers["density_strata_energies"].to_pylist() if r["run_label"] == label]
    kinds = sorted(
        {(r["space"] != "data", not r["estimator"].startswith("knn"), r["space"], r["estimator"]) for r in rows}
    )
    return [r for r in rows if kinds and (r["space"], r["estimator"]) == kinds[0][2:]]


def energy_by_stratum(answers: Mapping[str, pa.Table], runs: Sequence[StudyRun]) -> Figure:
    """Median and middle half of KPE in each stratum of log density, one panel a run."""
    figure, axes = panels(len(runs))
    for ax, run in zip(axes, runs, strict=True):
        rows = strata_of(answers, run.label)
        x, middle, low, high = (
            np.array([r[name] for r in rows], np.float32) for name in ("stratum", "kpe_50", "kpe_25", "kpe_75")
        )
        ax.bar(x, high - low, bottom=low, width=0.55, color=BLUE, alpha=0.3, linewidth=0)
        ax.plot(x, middle, color=ORANGE, marker="o", markersize=4, linewidth=1.4)
        ax.use_sticky_edges = False
        ax.margins(y=0.08)
        ax.set_xticks(x, ["sparsest", *[""] * (len(rows) - 2), "densest"] if len(rows) > 1 else None)
        style(ax, f"{run.label}\n{rows[0]['space']}, {rows[0]['estimator']}", "stratum of density", "KPE")
    return figure


def curves(answers: Mapping[str, pa.Table]) -> dict[str, list[Row]]:
    """By experiment, the runs of the Goldilocks curve, by energy; experiments with at least ``FEWEST`` of them."""
    found: dict[str, list[Row]] = {}
    for row in answers["goldilocks"].to_pylist():
        if row["quality"] is not None:
            found.setdefault(row["experiment"], []).append(row)
    return {name: rows for name, rows in found.items() if len(rows) >= FEWEST}


def goldilocks(answers: Mapping[str, pa.Table]) -> Figure:
    """Fréchet distance (left axis) and memorized share (right axis) over mean KPE, one panel an experiment."""
    experiments = curves(answers)
    figure, axes = panels(len(experiments), size=(4.4, 3.2), columns=2)
    for ax, (name, rows) in zip(axes, experiments.items(), strict=True):
        share = ax.twinx()
        for at, column, colour, marker, scale in (
            (ax, "quality", OKABE_ITO[0], MARKERS[0], 1.0), (share, "f_mem", OKABE_ITO[1], MARKERS[1], 100.0),
        ):  # fmt: skip
            x, y = (np.array([r[key] for r in rows], np.float32) for key in ("kpe", column))
            ends = np.array([[r[f"{column}_low"], r[f"{column}_high"]] for r in rows], np.float32)
            around = np.clip(np.abs(ends - y[:, None]), 0, None)
            at.errorbar(
                x, scale * y, yerr=scale * around.T, color=colour, marker=marker, markersize=5, linewidth=1.4, capsize=2
            )
        for row in rows:
            note = row["run_label"].removeprefix(name).strip() or row["run_label"]
            ax.annotate(
                literal(note), (row["kpe"], row["quality"]), (5, 6), textcoords="offset points", fontsize=7, color=INK
            )
        ax.margins(x=0.16)
        style(ax, name, "mean KPE", "")
        style(share)
        share.spines["right"].set_visible(True)
        share.spines["right"].set_color(GREY)
        ax.set_ylabel("Fréchet distance", fontsize=8.5, color=OKABE_ITO[0])
        share.set_ylabel("memorized [%]", fontsize=8.5, color=OKABE_ITO[1])
    return figure
