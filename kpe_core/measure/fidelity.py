"""How generated samples compare with real ones in a feature space: every metric of the scores table, with its interval."""

import numpy as np

from kpe_core.measure.bootstrap import Floats, Interval, Resamples, Z, mean_intervals
from kpe_core.measure.frechet import Features, extrapolable, frechet, frechet_infinite, frechet_influence, moments
from kpe_core.measure.kernel_distance import kid, kid_difference
from kpe_core.measure.manifolds import DENSITY_NEIGHBOURS, manifolds

REAL_FOR_MANIFOLD = 1000
"""Precision and recall depend on how many points span the manifolds; a fixed number keeps runs comparable."""


def fidelity_metrics(n_real: int, n_generated: int, features: int) -> tuple[str, ...]:
    """Names of the metrics that sets of these sizes have: none for a handful of rows, no extrapolation for too few."""
    if min(n_real, n_generated) <= DENSITY_NEIGHBOURS:
        return ()
    infinite = ("frechet_infinite",) if extrapolable(n_real, n_generated, features) else ()
    return ("frechet", *infinite, "kid", "precision", "recall", "density", "coverage")


def fidelity(real: Features, generated: Features, resamples: Resamples) -> dict[str, Interval]:
    """The ``fidelity_metrics`` of ``generated`` (n, F) against ``real`` (N, F), by name.

    Intervals of frechet, precision, density and coverage say how sure the generated rows make them, the real ones held
    fixed; those of frechet_infinite and kid count both sets' sampling. Recall has none: its balls move with every
    generated row.
    """
    names = fidelity_metrics(len(real), len(generated), real.shape[1])
    if not names:
        return {}
    of_real, own = moments(real), moments(generated)
    found = {
        "frechet": _with_error(frechet(of_real, own), frechet_influence(of_real, own, generated)),
        "kid": kid(real, generated),
    }
    if "frechet_infinite" in names:
        found["frechet_infinite"] = frechet_infinite(real, generated, resamples.seed)
    balls = manifolds(real[:REAL_FOR_MANIFOLD], generated)
    shares = {"precision": balls.in_real.astype(np.float64), "density": balls.density}
    found |= mean_intervals(shares, resamples)
    found |= {"recall": Interval(float(balls.in_generated.mean()), np.nan, np.nan), "coverage": balls.coverage()}
    return {name: found[name] for name in names}


def fidelity_differences(real: Features, generated: Features, baseline: Features) -> dict[str, Interval]:
    """frechet and kid of ``generated`` minus those of ``baseline``, both (n, F) and paired row by row; {} for a handful.

    The Fréchet distance's bias by the number of rows is the same on both sides, and mostly cancels.
    """
    if not fidelity_metrics(len(real), len(generated), real.shape[1]):
        return {}
    of_real, own, others = moments(real), moments(generated), moments(baseline)
    moved = frechet_influence(of_real, own, generated) - frechet_influence(of_real, others, baseline)
    return {
        "frechet": _with_error(frechet(of_real, own) - frechet(of_real, others), moved),
        "kid": kid_difference(real, generated, baseline),
    }


def _with_error(value: float, influence: Floats) -> Interval:
    """Normal interval from each row's influence; of a difference of paired sets, from the differences of theirs."""
    spread = Z * float(np.sqrt(np.mean(influence**2) / len(influence)))
    return Interval(value, value - spread, value + spread)
