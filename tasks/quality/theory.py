"""The theory table of an exact-field run, one row a step: its grid and its shares as gaps."""

import numpy as np
import pandas as pd

from kpe_core.sampling.grids import time_grid
from kpe_core.store.schema import THEORY
from kpe_core.study.runs import Run
from tasks.quality.gaps import never_nan, not_finite


def theory_frame(run: Run, theory: pd.DataFrame) -> pd.DataFrame:
    """The theory table; slopes, intercepts and R² may be missing where power or density do not vary."""
    times = time_grid(run.grid, run.steps)
    step = theory["step"].clip(0, run.steps - 1).to_numpy()
    return theory.assign(
        not_finite=not_finite(theory, [f.name for f in THEORY if not f.nullable and f.name != "run"]),
        grid_gap=never_nan(np.abs(theory["t"].to_numpy() - times[step])),
    )
