"""Part of tabulating: the error of the path itself, seen by following some samples once more with the adaptive solver."""

from dataclasses import replace

import numpy as np
import torch

from kpe_core.data.datasets import Prepared
from kpe_core.devices import device_here
from kpe_core.measure.bootstrap import Interval
from kpe_core.measure.statistics import spearman
from kpe_core.precision import nearest_precision, precision
from kpe_core.sampling.noise import initial_noise
from kpe_core.sampling.path import follow
from kpe_core.stages.labels import labels_of
from kpe_core.stages.resolve import field_of
from kpe_core.stages.sample import course_of
from kpe_core.store.store import Store
from kpe_core.study.runs import Run

TOLERANCE = 1e-5
LAST = 1e-3
"""Length of the probe's one Euler step before t = 1, where the field is singular there; the run's own last step is part of
its error. Where landing makes the energy diverge there is no right value, and the bias grows as this shrinks."""
RESAMPLES = 1000


PROBED = ("kpe_bias", "kpe_rank")
"""Scores that come of the probe alone."""


def probe_size(run: Run) -> int:
    """How many samples are followed once more: the first so many."""
    return min(run.measure.probe, run.n_samples)


def is_probed(run: Run) -> bool:
    """Whether there is something to hold the run's paths against: an adaptive run is its own answer."""
    return probe_size(run) >= 3 and run.solver != "dopri5"


def probe_scores(store: Store, run: Run, prepared: Prepared, kpe: np.ndarray) -> dict[str, Interval]:
    """``kpe_bias``: mean kpe over the adaptive solver's, minus 1, over the first samples on the same noise, with its
    bootstrap interval; ``kpe_rank``: Spearman's correlation of the two. Empty where the run is not probed."""
    if not is_probed(run):
        return {}
    n = probe_size(run)
    x0 = torch.from_numpy(initial_noise(run.seed, 0, n, prepared.dim))
    label = torch.from_numpy(labels_of(run, prepared)[:n]) if run.conditional else None
    times = np.array([0.0, 1.0 - LAST, 1.0])
    course = replace(course_of(run), times=times, solver="dopri5", tolerance=TOLERANCE)
    device = device_here()
    with precision(nearest_precision(run.precision, device), device):
        label = None if label is None else label.to(device)
        path = follow(field_of(store, run, prepared, device), x0.to(device), label, course, run.energy_split)
    ours, theirs = kpe[:n], path.energies.kpe
    pick = np.random.Generator(np.random.Philox(key=[run.seed, 0x9B0E])).integers(n, size=(RESAMPLES, n))
    draws = ours[pick].sum(axis=1) / theirs[pick].sum(axis=1) - 1.0
    low, high = np.quantile(draws, [0.025, 0.975])
    rank = spearman(ours, theirs)
    return {
        "kpe_bias": Interval(float(ours.sum() / theirs.sum() - 1.0), float(low), float(high)),
        "kpe_rank": Interval(rank.rho, rank.low, rank.high),
    }
