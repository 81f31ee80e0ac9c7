"""`make bench`: speed as ratios inside one process, alternating, medians. Prints a table; asserts only the absurd."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from kpe_core.fields.efm import ExactField
from kpe_core.fields.network import NetworkVelocity, VelocityMLP
from kpe_core.measure.density import kde_log_density
from kpe_core.measure.neighbours import nearest
from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.sampler import trajectory
from kpe_core.stages.resolve import resolve
from kpe_core.stages.sample import create_trajectories, sample_shard
from kpe_core.store.store import Store
from kpe_core.study.runs import Cell, cells
from kpe_core.study.specs import Study


def medians(*work: Callable[[], object], rounds: int = 7) -> list[float]:
    """Median seconds of each, run in turn so that a slow minute slows all of them."""
    for w in work:
        w()
    times = np.empty((rounds, len(work)))
    for i in range(rounds):
        for j, w in enumerate(work):
            start = time.perf_counter()
            w()
            times[i, j] = time.perf_counter() - start
    return [float(t) for t in np.median(times, axis=0)]


@pytest.fixture(autouse=True)
def one_core() -> None:
    torch.set_num_threads(1)


def say(what: str, value: str) -> None:
    print(f"\n  {what:68} {value}", end="")


def test_exact_field() -> None:
    """Against its two bare matrix products in the same precision."""
    x, points = torch.randn(128, 784, dtype=torch.float64), torch.randn(4000, 784, dtype=torch.float64)
    field = ExactField(points)
    weights = torch.rand(128, 4000, dtype=torch.float64)
    ours, bare = medians(lambda: field.evaluate(x, 0.5), lambda: (x @ points.T, weights @ points))
    say("exact field, N = 4000, D = 784, batch 128, float64: share of bare products' rate", f"{bare / ours:.0%}")
    assert ours < 4 * bare


def test_nearest_two_and_kde() -> None:
    x, points = torch.randn(500, 784), torch.randn(4000, 784)
    wide, all_wide = x.double(), points.double()
    near, kde, bare = medians(
        lambda: nearest(x, points, 2), lambda: kde_log_density(x, points, 20.0), lambda: wide @ all_wide.T
    )
    say("nearest two, 500 × 4000, D = 784: times the bare float64 product", f"{near / bare:.2f}")
    say("KDE, 500 × 4000, D = 784: times the bare float64 product", f"{kde / bare:.2f}")
    assert max(near, kde) < 10 * bare


def test_recording(tiny: Study, tmp_path: Path) -> None:
    """Sampling a shard to disk, every state kept, against the bare Euler loop of the same field and batch."""
    store = Store.create_or_open(str(tmp_path))
    base = next(iter(cells(tiny))).model_dump()
    data = {"name": "mnist5k", "n_train": 1000}
    changes = {"data": data, "states": {"keep": "all"}, "n_samples": 125, "batch": 125, "nfe": 50, "seed": 0}
    seeds = iter(range(1000))
    run = resolve(store, Cell.model_validate(base | changes))
    assert run is not None
    from kpe_core.data.datasets import load
    from kpe_core.stages.resolve import field_of

    field, times = field_of(store, run, load(run.data)), time_grid("uniform", 50)
    x0 = torch.randn(125, 784, dtype=torch.float64)

    def record() -> None:
        fresh = resolve(store, Cell.model_validate(base | changes | {"seed": next(seeds)}))
        assert fresh is not None
        create_trajectories(store, fresh, 125)
        sample_shard(store, fresh, 0)

    def bare() -> None:
        x = x0
        for t, dt in zip(times[:-1], np.diff(times), strict=True):
            x = x + dt * field.evaluate(x, float(t), None).velocity

    recorded, loop = medians(record, bare, rounds=5)
    say("exact field, MNIST, all states recorded: times the bare Euler loop", f"{recorded / loop:.2f}")
    assert recorded < 3 * loop


def test_network_sampling() -> None:
    field = NetworkVelocity(VelocityMLP(196, 10, 256, 2))
    times, eta = time_grid("uniform", 50), np.ones(51)
    x0, label = torch.randn(125, 196, dtype=torch.float64), torch.arange(125) % 10
    (seconds,) = medians(lambda: [s.power for s in trajectory(field, x0, label, times, eta, "euler")])
    say("MLP of width 256 on 14×14 images, 50 steps, one core: samples per second", f"{125 / seconds:.0f}")
