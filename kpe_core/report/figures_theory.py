"""The exact field held against Theorem 4.2, over time."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from kpe_core.catalog.catalog import Catalog
from kpe_core.report.drawing import BLUE, GREY, INK, OKABE_ITO, ORANGE, panels, style
from kpe_core.report.figures_energy import column
from kpe_core.report.material import StudyRun

TOP = 1.5
"""Where panels end: what is measured before any weight dominates may be anything."""

OVER_TIME = """
SELECT t, share_90, slope / nullif(slope_theory, 0) AS slope, r2, r2_theory
FROM theory WHERE run = $run ORDER BY step
"""


def theory_over_time(catalog: Catalog, runs: Sequence[StudyRun]) -> Figure:
    """Posterior dominance, slope over the predicted one, and R² beside the predicted one, one panel a run."""
    figure, axes = panels(len(runs))
    for ax, run in zip(axes, runs, strict=True):
        table = catalog.query(OVER_TIME, run=run.run)
        t, share, slope, r2, said = (column(table, name) for name in ("t", "share_90", "slope", "r2", "r2_theory"))
        ax.fill_between(t, 0, share, color=GREY, alpha=0.45, linewidth=0, label="share with one weight above 0.9")
        ax.axhline(1, color=OKABE_ITO[2], linewidth=1, linestyle="--")
        ax.plot(t, slope, color=OKABE_ITO[2], linewidth=1.6, label="slope / predicted")
        ax.plot(t, said, color=ORANGE, linewidth=1, linestyle="--", label="R² predicted")
        ax.plot(t, r2, color=BLUE, linewidth=1.6, label="R²")
        ax.set_xlim(0, 1)
        ax.set_ylim(0, TOP)
        style(ax, run.label, "t", "")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8, frameon=False, labelcolor=INK
    )
    return figure
