"""Stored states of some samples, held against the seed's noise and the training points."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kpe_core.data.datasets import Prepared
from kpe_core.sampling.noise import initial_noise
from kpe_core.store.trajectories import Trajectories, kept_states
from kpe_core.study.runs import Run
from tasks.quality.gaps import never_nan, relative_gap

PROBED = 256
"""Samples looked at, spread evenly over the run and so over its shards."""

Array = NDArray[np.float64]


def probed(n_samples: int) -> NDArray[np.int64]:
    """Which samples: all of a small run."""
    return np.unique(np.linspace(0, n_samples - 1, min(n_samples, PROBED)).round().astype(np.int64))


def states_frame(run: Run, trajectories: Trajectories, samples: pd.DataFrame, prepared: Prepared) -> pd.DataFrame:
    """One row a probed sample. Where no state is kept, x(1) and the displacement still tell the noise."""
    which = probed(run.n_samples)
    group = trajectories.group()
    noise = np.concatenate([initial_noise(run.seed, i, i + 1, prepared.dim) for i in which])
    x1 = _rows(group["x1"].oindex[which])  # type: ignore[union-attr]
    said = samples.drop_duplicates("sample").set_index("sample").reindex(which)
    displacement = np.linalg.norm(x1 - noise, axis=1)
    scale = np.linalg.norm(x1, axis=1) + displacement
    nearest = _points(prepared, said["nearest"])
    frame = pd.DataFrame({
        "sample": which,
        "displacement_gap": never_nan(np.abs(displacement - said["displacement"].to_numpy()) / scale),
        "norm_gap": relative_gap(np.linalg.norm(x1, axis=1), said["norm"]),
        "nearest_gap": relative_gap(np.linalg.norm(x1 - nearest, axis=1), said["d1"]),
    })  # fmt: skip
    if kept := len(kept_states(run)):
        x0, end = (_rows(group["x"].oindex[which, state]) for state in (0, kept - 1))  # type: ignore[union-attr]
        frame["noise_gap"] = never_nan(np.abs(x0 - noise).max(axis=1))
        frame["end_gap"] = never_nan(np.abs(end - x1).max(axis=1))
        noise = x0
    return frame.assign(**normality(noise.ravel()))


def normality(values: Array) -> dict[str, float]:
    """p-values of independent N(0, 1) values' mean, variance and distribution (Kolmogorov–Smirnov); 0 for NaN."""
    from scipy import stats

    if not np.isfinite(values).all():
        return {"mean_p": 0.0, "variance_p": 0.0, "ks_p": 0.0}
    n = values.size
    chi2 = stats.chi2(n).cdf(np.square(values).sum())
    return {
        "mean_p": float(2 * stats.norm.sf(abs(values.mean()) * np.sqrt(n))),
        "variance_p": float(2 * min(chi2, 1 - chi2)),
        "ks_p": float(stats.kstest(values, "norm").pvalue),
    }


def _rows(values: object) -> Array:
    array = np.asarray(values, dtype=np.float64)
    return array.reshape(len(array), -1)


def _points(prepared: Prepared, index: pd.Series) -> Array:
    """The training points named; NaN where the index names none."""
    out = np.full((len(index), prepared.dim), np.nan)
    named = index.between(0, prepared.n_points - 1).to_numpy()
    out[named] = prepared.points[index[named].to_numpy(dtype=np.int64)]
    return out
