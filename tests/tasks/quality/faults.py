"""Ways to spoil a right run, mostly its sample 7."""

from typing import Any

import numpy as np
import pandas as pd
import torch

from kpe_core.data.datasets import load
from kpe_core.measure.density import fit
from kpe_core.sampling.noise import initial_noise
from kpe_core.stages.labels import labels_of
from kpe_core.stages.manifest import registered
from kpe_core.stages.measure import measure_shard
from kpe_core.stages.resolve import field_of
from kpe_core.stages.sample import Recorder
from kpe_core.stages.tabulate import tabulate
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.specs import DataSpec
from tests.tasks.quality.bench import Bench


def nan_kpe(b: Bench) -> None:
    b.change("samples", lambda f: f.assign(kpe=f["kpe"].where(f["sample"] != 7)))


def nan_power(b: Bench) -> None:
    b.change("steps", lambda f: f.assign(power=f["power"].where((f["sample"] != 7) | (f["step"] != 3))))


def twice_the_same_sample(b: Bench) -> None:
    b.change("samples", lambda f: pd.concat([f, f[f["sample"] == 7]]))


def lost_sample(b: Bench) -> None:
    b.change("samples", lambda f: f[f["sample"] != 7])


def lost_step(b: Bench) -> None:
    b.change("steps", lambda f: f[(f["sample"] != 7) | (f["step"] != 9)])


def lost_marker(b: Bench) -> None:
    b.store.remove(f"trajectories/{b.run.trajectories_id}/shards/00001.json")


def overlapping_marker(b: Bench) -> None:
    trajectories = Trajectories(b.store, b.run.trajectories_id)
    trajectories.commit(1, trajectories.marker(1) | {"rows": [20, 50]})


def kpe_off_by_one_percent(b: Bench) -> None:
    b.change("samples", lambda f: f.assign(kpe=f["kpe"].where(f["sample"] != 7, 1.01 * f["kpe"])))


def every_energy_off_by_one_percent(b: Bench) -> None:
    """In the samples table, consistently: only the steps can tell."""
    names = ["kpe", "kpe_raw", "kpe_early", "kpe_late", "kpe_left", "kpe_trapezoid", "kpe_simpson"]
    b.change("samples", lambda f: f.assign(**{n: 1.01 * f[n] for n in names}, straightness=f["straightness"] / 1.01))


def every_power_off_by_one_percent(b: Bench) -> None:
    """In the trajectories themselves, before anything is made of them: only the field can tell."""
    group = Trajectories(b.store, b.run.trajectories_id).group("r+")
    energies = ["kpe", "kpe_raw", "kpe_early", "kpe_late", "kpe_left", "kpe_trapezoid", "kpe_simpson", "kpe_error"]
    for name in ["power", "energy", "peak_power", *energies]:
        group[name][:] = 1.01 * np.asarray(group[name][:])
    group["straightness"][:] = np.asarray(group["straightness"][:]) / 1.01
    tabulate(b.store, b.run)


def too_little_energy(b: Bench) -> None:
    b.change("samples", lambda f: f.assign(kpe=f["kpe"].where(f["sample"] != 7, 0.49 * f["displacement"] ** 2)))


def noise_of_another_seed(b: Bench) -> None:
    group = Trajectories(b.store, b.run.trajectories_id).group("r+")
    group["x"][7:9, 0] = initial_noise(b.run.seed + 1, 7, 9, 2).astype(np.float32)


def label_out_of_range(b: Bench) -> None:
    b.change("samples", lambda f: f.assign(label=f["label"].where(f["sample"] != 7, 99)))


def labels_swapped(b: Bench) -> None:
    b.change("samples", lambda f: f.assign(label=f["label"].where(~f["sample"].isin([7, 8]), 1 - f["label"])))


def trajectory_labels_swapped(b: Bench) -> None:
    group = Trajectories(b.store, b.run.trajectories_id).group("r+")
    group["label"][7:9] = np.asarray(group["label"][7:9])[::-1]


def asked_for_another_class(b: Bench) -> None:
    """Samples 7 and 8 followed for each other's class, everything made of that, the labels as they should be."""
    prepared = load(b.run.data)
    labels = labels_of(b.run, prepared)[:25]
    labels[[7, 8]] = labels[[8, 7]]
    recorder = Recorder(Trajectories(b.store, b.run.trajectories_id).group("r+"), b.run)
    recorder.record(field_of(b.store, b.run, prepared), 0, 25, torch.from_numpy(labels), prepared.shape)
    recorder.settle()
    _measure_again(b)


def trajectory_of_another_run(b: Bench) -> None:
    """The states of sample 7."""
    mine, theirs = _two_groups(b)
    mine["x"][7] = theirs["x"][7]


def everything_of_another_run(b: Bench) -> None:
    """All that is stored of sample 7's path, and everything made of that."""
    mine, theirs = _two_groups(b)
    for name, array in theirs.arrays():
        if array.ndim and array.shape[0] == b.run.n_samples and name not in ("sample", "label"):
            mine[name][7] = array[7]
    _measure_again(b)


def _two_groups(b: Bench) -> tuple[Any, Any]:
    other = next(i for i in b.store.list("runs") if registered(b.store, i).label == "conditional")
    ids = (b.run.trajectories_id, registered(b.store, other).trajectories_id)
    return Trajectories(b.store, ids[0]).group("r+"), Trajectories(b.store, ids[1]).group()


def _measure_again(b: Bench) -> None:
    b.store.remove(f"runs/{b.run.run_id}/measures")
    for shard in (0, 1):
        measure_shard(b.store, b.run, shard)
    tabulate(b.store, b.run)


def density_of_another_data_set(b: Bench) -> None:
    """Of sample 7, by k-NN: the density of its endpoint among other training points."""
    other = load(DataSpec.model_validate({"name": "multiscale_clusters"}))
    x1 = np.asarray(Trajectories(b.store, b.run.trajectories_id).group()["x1"][7:8])
    wrong = fit(torch.from_numpy(other.points), b.run.measure.densities[0]).log_density(torch.from_numpy(x1)).item()
    where = lambda f: (f["sample"] == 7) & (f["estimator"] == "knn(k=5)")  # noqa: E731
    b.change("densities", lambda f: f.assign(log_density=f["log_density"].where(~where(f), wrong)))


def density_of_nobody(b: Bench) -> None:
    b.change("densities", lambda f: f.assign(sample=f["sample"].where(f.index != 3, 50)))


def infinite_density(b: Bench) -> None:
    b.change("densities", lambda f: f.assign(log_density=f["log_density"].where(f.index != 7, np.inf)))


def nearest_beyond_the_points(b: Bench) -> None:
    b.change("samples", lambda f: f.assign(nearest=f["nearest"].where(f["sample"] != 7, 10**6)))


def wrong_d1(b: Bench) -> None:
    b.change("samples", lambda f: f.assign(d1=f["d1"].where(f["sample"] != 7, 0.999 * f["d1"])))


def second_nearest_for_nearest(b: Bench) -> None:
    """A search that missed sample 7's nearest point: the point named is at the distance said, and is not the nearest."""
    prepared = load(b.run.data)
    x1 = np.asarray(Trajectories(b.store, b.run.trajectories_id).group()["x1"][7], dtype=np.float64)
    distance = np.linalg.norm(prepared.points - x1, axis=1)
    second, third = np.argsort(distance)[1:3]
    found = {
        "nearest": second, "nearest_label": prepared.point_labels[second],
        "d1": distance[second], "d2": distance[third],
    }  # fmt: skip
    b.change("samples", lambda f: f.assign(**{n: f[n].where(f["sample"] != 7, v) for n, v in found.items()}))


def weight_above_one(b: Bench) -> None:
    at = lambda f: (f["sample"] == 7) & (f["step"] == 3)  # noqa: E731
    b.change("steps", lambda f: f.assign(posterior_max=f["posterior_max"].where(~at(f), 1.2)))


def distances_swapped(b: Bench) -> None:
    b.change("samples", lambda f: f.assign(d1=f["d1"].where(f["sample"] != 7, f["d2"] + 1)))


def rows_of_another_run(b: Bench) -> None:
    b.change("densities", lambda f: f.assign(run=f["run"].where(f["sample"] != 7, "someone")))


def lost_metric(b: Bench) -> None:
    b.change("scores", lambda f: f[f["metric"] != "f_mem"])


def lost_features(b: Bench) -> None:
    b.change("features", lambda f: f[f["sample"] != 7])


def several_at_once(b: Bench) -> None:
    overlapping_marker(b)
    infinite_density(b)
    nearest_beyond_the_points(b)
    distances_swapped(b)
    rows_of_another_run(b)
    lost_metric(b)
