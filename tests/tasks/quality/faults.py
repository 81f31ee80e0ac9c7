"""Ways to spoil a right run, mostly its sample 7."""

import numpy as np
import pandas as pd

from kpe_core.sampling.noise import initial_noise
from kpe_core.store.trajectories import Trajectories
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


def too_little_energy(b: Bench) -> None:
    b.change("samples", lambda f: f.assign(kpe=f["kpe"].where(f["sample"] != 7, 0.49 * f["displacement"] ** 2)))


def noise_of_another_seed(b: Bench) -> None:
    group = Trajectories(b.store, b.run.trajectories_id).group("r+")
    group["x"][7:9, 0] = initial_noise(b.run.seed + 1, 7, 9, 2).astype(np.float32)


def label_out_of_range(b: Bench) -> None:
    b.change("samples", lambda f: f.assign(label=f["label"].where(f["sample"] != 7, 99)))


def density_of_nobody(b: Bench) -> None:
    b.change("densities", lambda f: f.assign(sample=f["sample"].where(f.index != 3, 50)))


def infinite_density(b: Bench) -> None:
    b.change("densities", lambda f: f.assign(log_density=f["log_density"].where(f.index != 7, np.inf)))


def nearest_beyond_the_points(b: Bench) -> None:
    b.change("samples", lambda f: f.assign(nearest=f["nearest"].where(f["sample"] != 7, 10**6)))


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
