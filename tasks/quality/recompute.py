"""Densities of a few samples, computed again from the stored endpoints and the run's own training points."""

import numpy as np
import pandas as pd
import torch

from kpe_core.data.datasets import Prepared
from kpe_core.measure.density import Fitted, estimator_name, fit
from kpe_core.stages.measure import density_of
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.runs import Run
from kpe_core.study.specs import DensitySpec, KdeDensity
from kpe_core.threads import one_thread
from tasks.quality.gaps import Column, never_nan
from tasks.quality.states import OPERATIONS, affordable


def recomputed_gap(run: Run, densities: pd.DataFrame, trajectories: Trajectories, prepared: Prepared) -> Column:
    """Per row: |log density − the same again|, relative where that is beyond 1 nat; NaN where it is not looked at."""
    gap = np.full(len(densities), np.nan)
    which = affordable(run, 2.0 * prepared.n_points * prepared.dim * max(1, len(run.measure.densities)), OPERATIONS)
    x = trajectories.endpoints(which)
    looked_at = densities["sample"].isin(which) & (densities["space"] == "data")
    for spec in run.measure.densities:
        rows = np.flatnonzero(looked_at & (densities["estimator"] == estimator_name(spec)))
        if spec.space != "data" or not len(rows):
            continue
        mine = densities.iloc[rows]
        with one_thread():
            again = _estimator(run, spec, mine, prepared).log_density(torch.from_numpy(np.nan_to_num(x))).numpy()
        expected = again[np.searchsorted(which, mine["sample"])]
        found = mine["log_density"].to_numpy()
        with np.errstate(invalid="ignore"):
            apart = np.abs(found - expected) / np.maximum(1.0, np.abs(expected))
        gap[rows] = np.where(found == expected, 0.0, never_nan(apart))
    return gap


def _estimator(run: Run, spec: DensitySpec, rows: pd.DataFrame, prepared: Prepared) -> Fitted:
    """The estimator at the bandwidth the table names: searching for it again would cost more than all the rest."""
    h = float(rows["parameter"].iloc[0])
    if isinstance(spec, KdeDensity) and np.isfinite(h) and h > 0:
        return fit(torch.from_numpy(prepared.points), spec.model_copy(update={"bandwidth": h}))
    return density_of(run.data, spec)
