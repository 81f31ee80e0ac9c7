"""Figures that show samples: by energy within each class, beside the training points they copy, in the plane."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kpe_core.catalog.catalog import Catalog
from kpe_core.data.datasets import Prepared, load
from kpe_core.report.drawing import (
    CONTINUOUS,
    GREY,
    INK,
    canvas,
    dot_size,
    mosaic,
    mosaic_left,
    panels,
    style,
)
from kpe_core.report.figures_energy import SCATTERED, column
from kpe_core.report.material import StudyRun
from kpe_core.report.pictures import pictures, show
from kpe_core.report.wording import fixed, significant
from kpe_core.stages.manifest import registered
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories

EACH = 5
"""Samples at either end of a class' energies."""
CLASSES = 10
COPIES = 10
"""Samples shown beside their neighbours."""

EXTREMES = """
WITH ranked AS (
  SELECT class, sample, row_number() OVER (PARTITION BY class ORDER BY kpe, sample) AS up,
    row_number() OVER (PARTITION BY class ORDER BY kpe DESC, sample) AS down
  FROM samples WHERE run = $run AND isfinite(kpe)
)
SELECT class, sample, up, down FROM ranked WHERE up <= $each OR down <= $each ORDER BY class, up
"""

COPIED = """
WITH chosen AS (
  SELECT sample, nearest, coalesce(gap_ratio, 0) AS gap_ratio, memorized,
    row_number() OVER (PARTITION BY memorized ORDER BY kpe, sample) AS r, count(*) OVER (PARTITION BY memorized) AS n
  FROM samples WHERE run = $run
)
SELECT sample, nearest, gap_ratio, memorized FROM chosen
WHERE memorized AND (n <= $most OR floor((r - 1) * $most / n) > floor((r - 2) * $most / n)) ORDER BY r
"""
"""Memorized samples spread evenly over energy, from the lowest."""

CLOSEST = """
SELECT sample, nearest, coalesce(gap_ratio, 0) AS gap_ratio, memorized
FROM samples WHERE run = $run ORDER BY gap_ratio, sample LIMIT $most
"""

ENDPOINTS = "SELECT sample, kpe FROM samples WHERE run = $run AND sample < $most AND isfinite(kpe) ORDER BY sample"


def energy_extremes(store: Store, catalog: Catalog, runs: Sequence[StudyRun]) -> Figure:
    """Samples of lowest (left) and highest (right) KPE within each class, one panel a run."""
    figure, axes = panels(len(runs), size=(3.6, 3.8))
    for ax, run in zip(axes, runs, strict=True):
        prepared = prepared_of(store, run)
        rows = catalog.query(EXTREMES, run=run.run, each=EACH).to_pylist()
        classes = sorted({r["class"] for r in rows})[:CLASSES]
        images = dict(zip([r["sample"] for r in rows], endpoints(store, run, prepared, rows), strict=True))
        grid: list[list[NDArray | None]] = []
        for c in classes:
            here = [r for r in rows if r["class"] == c]
            low = [images[r["sample"]] for r in here if r["up"] <= EACH]
            high = [images[r["sample"]] for r in here if r["down"] <= EACH]
            grid.append([*low, *[None] * (EACH - len(low)), *[None] * (EACH - len(high)), *high])
        side, across = next(iter(images.values())).shape[:2]
        gap = side // 10
        show(ax, mosaic(grid, gap, EACH - 1), prepared)
        ax.set_yticks(
            [i * (side + gap) + side / 2 for i in range(len(classes))], [class_name(prepared, c) for c in classes]
        )
        width = EACH * (across + gap)
        ax.set_xticks([width / 2, mosaic_left(EACH, across, gap, EACH - 1) + width / 2], ["lowest KPE", "highest KPE"])
        style(ax, run.label, "", "class")
        _bare(ax)
    return figure


def copies(store: Store, catalog: Catalog, runs: Sequence[StudyRun]) -> Figure:
    """Memorized samples above the training images nearest to them, with d₁/d₂; the closest samples where none is."""
    figure = canvas(9.6, 2.35 * len(runs))
    axes = figure.subplots(len(runs), 1, squeeze=False).ravel().tolist()
    for ax, run in zip(axes, runs, strict=True):
        prepared = prepared_of(store, run)
        rows = catalog.query(COPIED, run=run.run, most=COPIES).to_pylist()
        told = "memorized, from low to high energy" if rows else "none is memorized; the closest"
        rows = rows or catalog.query(CLOSEST, run=run.run, most=COPIES).to_pylist()
        samples = list(endpoints(store, run, prepared, rows))
        nearest = [prepared.points[r["nearest"]].reshape(prepared.shape) for r in rows]
        side, across = samples[0].shape[:2]
        gap = side // 8
        show(ax, mosaic([samples, list(pictures(prepared, np.stack(nearest)))], gap), prepared)
        ax.set_yticks([side / 2, side + gap + side / 2], ["sample", "nearest\ntraining"])
        middles = [mosaic_left(i, across, gap) + across / 2 for i in range(len(rows))]
        ax.set_xticks(middles, [f"d₁/d₂ {fixed(r['gap_ratio'])}" for r in rows])
        style(ax, f"{run.label}: {told}")
        _bare(ax)
    return figure


def planar(store: Store, catalog: Catalog, runs: Sequence[StudyRun]) -> Figure:
    """2-D sets: training points above, generated endpoints coloured by KPE below, one column a run."""
    figure = canvas(3.4 * len(runs) if len(runs) > 1 else 4.6, 5.8)
    axes = figure.subplots(2, len(runs), squeeze=False)
    for i, run in enumerate(runs):
        prepared = prepared_of(store, run)
        above, below = axes[0][i], axes[1][i]
        above.scatter(*prepared.points[:SCATTERED].T, s=dot_size(len(prepared.points)), color=GREY, linewidths=0)
        style(above, f"{run.label}\n{len(prepared.points)} training points")
        table = catalog.query(ENDPOINTS, run=run.run, most=SCATTERED)
        kpe = column(table, "kpe")
        # The few highest energies come last, on top, and do not stretch the colours.
        order = np.argsort(kpe, kind="stable")
        x = _x1(store, run, column(table, "sample").astype(np.int64))[order]
        low, high = np.quantile(kpe, [0.02, 0.98]) if len(kpe) else (0, 1)
        dots = below.scatter(
            *x.T, c=kpe[order], s=dot_size(len(kpe)), linewidths=0, cmap=CONTINUOUS, vmin=low, vmax=high
        )
        style(below, f"{len(kpe)} endpoints")
        bar = figure.colorbar(dots, ax=below, orientation="horizontal", pad=0.02, aspect=30, shrink=0.8, extend="both")
        bar.ax.tick_params(labelsize=7, colors=INK, length=2)
        bar.set_label(
            f"KPE (median {significant(float(np.median(kpe)))})" if len(kpe) else "KPE", fontsize=8, color=INK
        )
        middle = (prepared.points.max(axis=0) + prepared.points.min(axis=0)) / 2
        half = 1.05 * float(np.abs(prepared.points - middle).max())
        for ax in (above, below):
            ax.set_aspect("equal", adjustable="box")
            ax.set_xlim(middle[0] - half, middle[0] + half)
            ax.set_ylim(middle[1] - half, middle[1] + half)
    return figure


def prepared_of(store: Store, run: StudyRun) -> Prepared:
    """The run's data."""
    return load(registered(store, run.run).data)


def endpoints(store: Store, run: StudyRun, prepared: Prepared, rows: Sequence[dict[str, Any]]) -> NDArray[np.float32]:
    """x(1) of the rows' samples as pictures."""
    wanted = np.asarray([r["sample"] for r in rows], dtype=np.int64)
    return pictures(prepared, _x1(store, run, wanted).reshape(-1, *prepared.shape))


def _x1(store: Store, run: StudyRun, samples: NDArray[np.int64]) -> NDArray[np.float32]:
    """Endpoints of some samples, in the order asked for; reads only their chunks."""
    wanted, back = np.unique(samples, return_inverse=True)
    return Trajectories(store, registered(store, run.run).trajectories_id).endpoints(wanted)[back]


def class_name(prepared: Prepared, c: int | None) -> str:
    """As it labels a row; cut short where it is long."""
    name = prepared.class_names[c] if c is not None and 0 <= c < prepared.n_classes else str(c)
    return name if len(name) <= 12 else f"{name[:11]}…"


def _bare(ax: Any) -> None:
    """Pictures need no frame and no tick marks."""
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
