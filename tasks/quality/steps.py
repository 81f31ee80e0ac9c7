"""The steps table, one row a sample: its energies added up again and held against the samples table."""

import io

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.shaping import gain
from kpe_core.study.runs import Run
from tasks.quality.gaps import never_nan, relative_gap

BLOCK_ROWS = 500_000
"""Steps held in memory at once."""

_AGAIN = ("kpe", "kpe_left", "peak_power")


def steps_frame(run: Run, parquet: bytes, samples: pd.DataFrame) -> pd.DataFrame:
    """Summary of each sample's steps. Read block by block, so that memory does not grow with the run."""
    size = max(1, BLOCK_ROWS // run.steps)
    starts = list(range(0, run.n_samples, size))
    parts = [_summary(run, _block(parquet, start, size, start == 0, start == starts[-1])) for start in starts]
    frame = pd.concat(parts, ignore_index=True)
    said = samples.drop_duplicates("sample").set_index("sample").reindex(frame["sample"])
    for name in _AGAIN:
        frame[f"{name}_gap"] = relative_gap(frame[name], said[name])
    frame["last_gap"] = relative_gap(frame["last"], said["kpe"])
    # Within the one step that holds the split, solvers divide the energy differently.
    early = said["kpe_early"].clip(frame["before_split"].to_numpy(), frame["begun_before_split"].to_numpy())
    frame["kpe_early_gap"] = relative_gap(early, said["kpe_early"])
    return frame.drop(columns=[*_AGAIN, "last", "before_split", "begun_before_split"])


def _block(parquet: bytes, start: int, size: int, first: bool, last: bool) -> pd.DataFrame:
    """Rows of samples ``start`` … ``start + size − 1``; the outer blocks take in whatever lies beyond."""
    low, high = (-np.inf if first else start), (np.inf if last else start + size)
    keep = (pc.field("sample") >= low) & (pc.field("sample") < high)
    return pq.read_table(io.BytesIO(parquet), filters=keep).to_pandas()


def _summary(run: Run, steps: pd.DataFrame) -> pd.DataFrame:
    """One row a sample. Sums run in the table's own order."""
    times = time_grid(run.grid, run.steps)
    step = steps["step"].clip(0, run.steps - 1).to_numpy()
    t, dt, eta, power = (steps[name].to_numpy() for name in ("t", "dt", "eta", "power"))
    effective = power * eta**2
    drift = [t - times[step], dt - np.diff(times)[step], eta - gain(run.shaping, times)[step]]
    told = ("posterior_max", "posterior_entropy", "log_density")
    posterior, entropy, density = (steps[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in told)
    columns = pd.DataFrame({
        "sample": steps["sample"],
        "foreign_rows": steps["run"] != run.run_id,
        "rows": 1,
        "repeated": steps.duplicated(["sample", "step"]),
        "misnumbered": steps["step"] != step,
        "not_finite": ~np.isfinite(steps[["t", "dt", "eta", "power", "energy", "cumulative_kpe"]].to_numpy()).all(axis=1),
        "grid_gap": never_nan(np.max(np.abs(drift), axis=0)) if len(steps) else [],
        "kpe": steps["energy"],
        "kpe_left": 0.5 * effective * dt,
        "before_split": np.where(times[step + 1] <= run.energy_split, steps["energy"], 0.0),
        "begun_before_split": np.where(times[step] < run.energy_split, steps["energy"], 0.0),
        "peak_power": effective,
        "smallest_power": power,
        "largest_fall": -steps.groupby("sample", sort=False)["cumulative_kpe"].diff().fillna(0.0),
        "last": steps["cumulative_kpe"],
        "posterior_low": posterior,
        "posterior_high": posterior,
        "posterior_given": np.isfinite(posterior),
        "entropy_low": entropy,
        "entropy_high": entropy,
        "entropy_given": np.isfinite(entropy),
        "density_given": np.isfinite(density),
    })  # fmt: skip
    sums = ["foreign_rows", "rows", "repeated", "misnumbered", "not_finite", "kpe", "kpe_left"]
    sums += ["before_split", "begun_before_split", "posterior_given", "entropy_given", "density_given"]
    how = {
        **dict.fromkeys(sums, "sum"), "last": "last",
        **dict.fromkeys(["grid_gap", "peak_power", "largest_fall", "posterior_high", "entropy_high"], "max"),
        **dict.fromkeys(["smallest_power", "posterior_low", "entropy_low"], "min"),
    }  # fmt: skip
    return columns.groupby("sample", as_index=False).agg(how)
