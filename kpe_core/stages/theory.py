"""Part of tabulating: an exact-field run held against what theory says of it."""

import numpy as np
import pyarrow as pa

from kpe_core.data.datasets import Prepared
from kpe_core.fields.bridges import bridge
from kpe_core.measure.bootstrap import Interval, Resamples, mean_interval
from kpe_core.measure.theory import LEVELS, Regression, growth, growth_window, predicted, predicted_growth
from kpe_core.stages.labels import labels_of
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.runs import Run
from kpe_core.study.specs import ExactField


def is_exact(run: Run) -> bool:
    """Whether the theory speaks of the run: guidance mixes two exact fields, and is none."""
    return isinstance(run.field, ExactField) and run.guidance == 1.0


def theory_columns(store: Store, run: Run, prepared: Prepared) -> pa.Table:
    """Posterior dominance and Theorem 4.2, one row a step. Read batch by batch, so that memory does not grow."""
    group = Trajectories(store, run.trajectories_id).group()
    t = np.asarray(group["t_step"][:])  # type: ignore[index]
    above = np.zeros((len(LEVELS), run.steps))
    regression = None
    for start in range(0, run.n_samples, run.batch):
        rows = slice(start, min(run.n_samples, start + run.batch))
        power, log_density, largest = (
            np.asarray(group[name][rows])  # type: ignore[index]
            for name in ("power", "log_density", "posterior_max")
        )
        here = Regression.of(-log_density, power)
        regression = here if regression is None else regression + here
        above += [(largest > level).sum(axis=0) for level in LEVELS]
    assert regression is not None
    at = bridge(run.field.bridge).at(t)
    theory = predicted(prepared.points.astype(np.float64), _log_rivals(run, prepared), at.sigma, at.rate)
    share = above / run.n_samples
    return pa.table({
        "step": np.arange(run.steps), "t": t,
        **{f"share_{100 * level:.0f}": share[i] for i, level in enumerate(LEVELS)},
        "slope": _nullable(regression.slope), "slope_theory": theory.slope,
        "intercept": _nullable(regression.intercept), "intercept_theory": theory.intercept,
        "r2": _nullable(regression.r2), "r2_theory": np.full(run.steps, theory.r2),
    })  # fmt: skip


def shows_growth(run: Run) -> bool:
    """Whether the run has enough late steps for its growth exponent to be fitted."""
    window = growth_window(run.steps)
    return is_exact(run) and window.stop - window.start >= 3


def growth_scores(store: Store, run: Run, resamples: Resamples) -> dict[str, Interval]:
    """Lemma 5.1: the measured terminal growth exponent of the velocity, and what the gains say it should be."""
    group = Trajectories(store, run.trajectories_id).group()
    t, eta = (np.asarray(group[name][:]) for name in ("t_step", "eta"))  # type: ignore[index]
    at = bridge(run.field.bridge).at(t)
    exponent = growth(np.asarray(group["power"][:]), at.sigma, at.rate)  # type: ignore[index]
    # A particle at rest has no exponent.
    exponent = np.where(np.isfinite(exponent), exponent, np.mean(exponent[np.isfinite(exponent)]))
    said = predicted_growth(t, eta, at.sigma, at.rate, euler=run.solver == "euler")
    return {"growth": mean_interval(exponent, resamples), "growth_theory": Interval(said, np.nan, np.nan)}


def _log_rivals(run: Run, prepared: Prepared) -> float:
    """Mean logarithm of how many training points a sample's posterior ranges over."""
    if not run.conditional:
        return float(np.log(prepared.n_points))
    sizes = np.bincount(prepared.point_labels, minlength=prepared.n_classes)
    return float(np.log(sizes[labels_of(run, prepared)]).mean())


def _nullable(values: np.ndarray) -> pa.Array:
    return pa.array(values, mask=~np.isfinite(values))
