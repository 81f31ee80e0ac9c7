"""What every figure shares: colours, panels, and the way from a figure to a page.

Figures are made without pyplot, so drawing keeps no state and may run in any thread.
"""

import base64
import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Categories, told apart by every common kind of colour vision; its yellow is too pale for lines on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
BLUE, ORANGE, GREY, INK = OKABE_ITO[0], OKABE_ITO[1], "#b8bec6", "#1c2330"
CONTINUOUS = "viridis"
DPI = 130
SIDE = 56
COLUMNS = 3
PANEL = (3.4, 2.7)
"""Width and height of one panel in inches."""


@dataclass(frozen=True)
class FigureEntry:
    """One figure of a report. ``name`` has lowercase letters, digits and dashes only, as artifact keys ask."""

    name: str
    title: str
    caption: str
    png: bytes


def figure_png(figure: Figure) -> bytes:
    """The figure as PNG; equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def data_uri(png: bytes) -> str:
    """A PNG as an address that pages and Prefect artifacts can show without a request."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def canvas(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def panels(
    n: int, size: tuple[float, float] = PANEL, columns: int = COLUMNS, **kwargs: Any
) -> tuple[Figure, list[Axes]]:
    """A figure with ``n`` panels, row by row."""
    across = min(n, columns)
    down = math.ceil(n / across)
    # A single panel is given half as much again: alone on a page it would look lost.
    grow = 1.5 if n == 1 else 1.0
    figure = canvas(grow * size[0] * across, grow * size[1] * down)
    axes = figure.subplots(down, across, squeeze=False, **kwargs).ravel().tolist()
    for spare in axes[n:]:
        spare.remove()
    return figure, axes[:n]


def style(ax: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """Quiet axes: no box, small type. ``title`` is taken literally, so a ``$`` in a label starts no formula."""
    ax.set_title(title, fontsize=9, color=INK, loc="left", parse_math=False)
    ax.set_xlabel(x, fontsize=8.5, color=INK)
    ax.set_ylabel(y, fontsize=8.5, color=INK)
    ax.tick_params(labelsize=7.5, colors=INK, length=3)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def dot_size(n: int) -> float:
    """Area of a scatter's dots, larger where there are few."""
    return max(5.0, min(25.0, 2500.0 / max(n, 1)))


def literal(text: str) -> str:
    """Text for legends and notes, which have no switch for formulas."""
    return text.replace("$", r"\$")


def enlarged(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images (…, H, W) with each pixel repeated, to a side of about ``SIDE``: grids of any data set then look alike."""
    times = max(1, SIDE // images.shape[-1])
    return images.repeat(times, axis=-2).repeat(times, axis=-1)


def mosaic(images: list[list[NDArray | None]], gap: int, wide_gap_after: int | None = None) -> NDArray[np.float32]:
    """Images, all (H, W) or all (H, W, 3), laid out in rows on one canvas; between them and where there is none NaN, and
    white in colour.

    ``wide_gap_after``: number of the column that a wider gap follows.
    """
    first = next(i for row in images for i in row if i is not None)
    height, width = first.shape[:2]
    columns = max(len(row) for row in images)
    extra = 0 if wide_gap_after is None else 3 * gap
    size = (len(images) * (height + gap) - gap, columns * (width + gap) - gap + extra, *first.shape[2:])
    out = np.full(size, np.nan if first.ndim == 2 else 1.0, dtype=np.float32)
    for r, row in enumerate(images):
        for c, image in enumerate(row):
            if image is not None:
                top, left = r * (height + gap), mosaic_left(c, width, gap, wide_gap_after)
                out[top : top + height, left : left + width] = image
    return out


def mosaic_left(column: int, width: int, gap: int, wide_gap_after: int | None = None) -> int:
    """First pixel of a mosaic's column."""
    wide = 3 * gap if wide_gap_after is not None and column > wide_gap_after else 0
    return column * (width + gap) + wide
