"""How generated samples compare with real ones in a feature space: every metric of the scores table, with its interval."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from kpe_core.measure.bootstrap import Floats, Interval, Resamples, mean_intervals, statistic_interval
from kpe_core.measure.frechet import Features, extrapolable, frechet, frechet_infinite, moments
from kpe_core.measure.kernel_distance import kid, kid_difference
from kpe_core.measure.manifolds import DENSITY_NEIGHBOURS, manifolds

FRECHET_RESAMPLES = 200
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
    of_real = moments(real)
    found = {
        "frechet": _frechet_interval(lambda w: frechet(of_real, moments(generated, w)), resamples),
        "kid": kid(real, generated),
    }
    if "frechet_infinite" in names:
        found["frechet_infinite"] = frechet_infinite(real, generated, resamples.seed)
    balls = manifolds(real[:REAL_FOR_MANIFOLD], generated)
    shares = {"precision": balls.in_real.astype(np.float64), "density": balls.density}
    found |= mean_intervals(shares, resamples)
    found |= {"recall": Interval(float(balls.in_generated.mean()), np.nan, np.nan), "coverage": balls.coverage()}
    return {name: found[name] for name in names}


def fidelity_differences(
    real: Features, generated: Features, baseline: Features, resamples: Resamples
) -> dict[str, Interval]:
    """frechet and kid of ``generated`` minus those of ``baseline``, both (n, F) and paired row by row; {} for a handful.

    The Fréchet distance's bias by the number of rows is the same on both sides, and mostly cancels.
    """
    if not fidelity_metrics(len(real), len(generated), real.shape[1]):
        return {}
    of_real = moments(real)

    def difference(weights: Floats) -> float:
        return frechet(of_real, moments(generated, weights)) - frechet(of_real, moments(baseline, weights))

    return {
        "frechet": _frechet_interval(difference, resamples),
        "kid": kid_difference(real, generated, baseline),
    }


def _frechet_interval(distance: Callable[[Floats], float], resamples: Resamples) -> Interval:
    """Normal interval, from fewer resamples than means get: a standard error needs no tails."""
    few = replace(resamples, draws=min(FRECHET_RESAMPLES, resamples.draws))
    return statistic_interval(lambda weights: np.array([distance(w) for w in weights]), few, method="normal")
