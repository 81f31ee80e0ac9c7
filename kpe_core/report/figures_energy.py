"""Figures about energy itself: how it is distributed, how it goes with density, when it is spent."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from kpe_core.catalog.catalog import Catalog
from kpe_core.report.drawing import BLUE, CONTINUOUS, INK, ORANGE, dot_size, panels, style
from kpe_core.report.material import StudyRun
from kpe_core.report.wording import significant

SCATTERED = 4000
"""Samples a scatter shows: the first ones, which are as random as any."""

KPE = "SELECT kpe FROM samples WHERE run = $run AND isfinite(kpe) ORDER BY sample"

AGAINST_DENSITY = """
SELECT s.kpe, s.norm, d.log_density
FROM samples s JOIN densities d USING (run, sample)
WHERE run = $run AND sample < $most AND isfinite(d.log_density)
  AND (d.space, d.estimator) = (
    SELECT (space, estimator) FROM densities WHERE run = $run
    ORDER BY space <> 'data', estimator NOT LIKE 'knn%', estimator LIMIT 1)
ORDER BY sample
"""

CUMULATIVE = """
SELECT any_value(t + dt) AS t, avg(cumulative_kpe) AS mean,
  quantile_cont(cumulative_kpe, 0.1) AS low, quantile_cont(cumulative_kpe, 0.9) AS high
FROM steps WHERE run = $run GROUP BY step ORDER BY step
"""


def energy_histograms(catalog: Catalog, runs: Sequence[StudyRun]) -> Figure:
    """One histogram of KPE a run, its median marked."""
    figure, axes = panels(len(runs))
    for ax, run in zip(axes, runs, strict=True):
        kpe = column(catalog.query(KPE, run=run.run), "kpe")
        ax.hist(kpe, bins=min(50, max(5, len(kpe) // 10)), color=BLUE, alpha=0.85)
        told = ""
        if len(kpe):
            middle = float(np.median(kpe))
            ax.axvline(middle, color=ORANGE, linewidth=1.5)
            told = f"\nmedian {significant(middle)}"
        style(ax, run.label + told, "KPE", "samples")
    return figure


def energy_against_density(catalog: Catalog, runs: Sequence[StudyRun], headlines: dict[str, str]) -> Figure:
    """KPE over log density, one panel a run, coloured by ‖x(1)‖; the correlation in the title."""
    figure, axes = panels(len(runs))
    for ax, run in zip(axes, runs, strict=True):
        table = catalog.query(AGAINST_DENSITY, run=run.run, most=SCATTERED)
        x, y, norm = (column(table, name) for name in ("log_density", "kpe", "norm"))
        dots = ax.scatter(x, y, c=norm, s=dot_size(len(x)), alpha=0.7, linewidths=0, cmap=CONTINUOUS)
        bar = figure.colorbar(dots, ax=ax, pad=0.02, aspect=28)
        bar.ax.tick_params(labelsize=7, colors=INK, length=2)
        bar.set_label("‖x(1)‖", fontsize=8, color=INK)
        style(ax, f"{run.label}\n{headlines.get(run.label, '')}", "log density [nat]", "KPE")
    return figure


def power_over_time(answers: dict[str, pa.Table], runs: Sequence[StudyRun]) -> Figure:
    """Mean effective power ‖ηv‖² over t with its 10–90 % band, one panel a run."""
    profile = answers["energy_profile"]
    labels = np.asarray(profile["run_label"].to_pylist())
    figure, axes = panels(len(runs))
    for ax, run in zip(axes, runs, strict=True):
        here = profile.filter(pa.array(labels == run.label))
        t = average(here, "t")
        ax.fill_between(t, average(here, "power_low"), average(here, "power_high"), color=BLUE, alpha=0.2, linewidth=0)
        ax.plot(t, average(here, "power"), color=BLUE, linewidth=1.6)
        ax.set_ylim(bottom=0)
        style(ax, run.label, "t", "power ‖ηv‖²")
    return figure


def cumulative_energy(catalog: Catalog, runs: Sequence[StudyRun]) -> Figure:
    """Energy spent up to t: mean and 10–90 % band, one panel a run; the split τ of early and late energy is marked."""
    figure, axes = panels(len(runs))
    for ax, run in zip(axes, runs, strict=True):
        table = catalog.query(CUMULATIVE, run=run.run)
        # Every path starts with nothing spent.
        t, mean, low, high = (np.append(0.0, average(table, name)) for name in ("t", "mean", "low", "high"))
        ax.fill_between(t, low, high, color=BLUE, alpha=0.2, linewidth=0)
        ax.plot(t, mean, color=BLUE, linewidth=1.6)
        ax.axvline(run.facts["energy_split"], color=ORANGE, linewidth=1, linestyle="--")
        ax.set_ylim(bottom=0)
        style(ax, run.label, "t", "KPE spent up to t")
    return figure


def column(table: pa.Table, name: str) -> np.ndarray:
    """A numeric column as float64, NULL as NaN."""
    return np.asarray(table[name].to_numpy(), dtype=np.float64)


def average(table: pa.Table, name: str) -> np.ndarray:
    """A column of averages as float32: parallel sums differ in their last bits, and pictures should not."""
    return column(table, name).astype(np.float32)
