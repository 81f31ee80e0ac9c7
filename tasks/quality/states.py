"""Stored endpoints and states of some samples, held against the seed's noise, the training points and the field."""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from kpe_core.data.datasets import Prepared
from kpe_core.devices import device_here
from kpe_core.fields.base import VelocityField
from kpe_core.points.neighbours import nearest
from kpe_core.precision import nearest_precision, precision
from kpe_core.sampling.noise import initial_noise
from kpe_core.stages.labels import labels_of
from kpe_core.stages.resolve import field_of
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories, kept_states
from kpe_core.study.runs import Run
from kpe_core.study.specs import ExactField
from kpe_core.threads import one_thread
from tasks.quality.gaps import never_nan, relative_gap

ENDPOINTS = 20_000
"""Samples looked at at all, spread evenly over the run and so over its shards."""
LEAST = 64
"""Of those, the fewest that the dearer questions are asked of; all of them where that costs no more than …"""
OPERATIONS, BYTES = 2e10, 256e6
"""… this many operations, a second or so, or this many bytes of states read."""
NOISE = 256
"""Samples whose noise is tested for looking like noise."""
BLOCK = 1000
"""Endpoints in memory at once."""

Array = NDArray[np.float64]


def spread(n_samples: int, at_most: int) -> NDArray[np.int64]:
    """Which samples: all of a small run."""
    return np.unique(np.linspace(0, n_samples - 1, min(n_samples, at_most)).round().astype(np.int64))


def affordable(run: Run, cost: float, budget: float) -> NDArray[np.int64]:
    """As many samples as the budget allows at ``cost`` each, spread evenly."""
    return spread(run.n_samples, int(min(ENDPOINTS, max(LEAST, budget // cost))))


def states_frame(
    store: Store, run: Run, trajectories: Trajectories, samples: pd.DataFrame, prepared: Prepared
) -> pd.DataFrame:
    """One row a sample looked at; NaN where something is looked at of fewer."""
    group = trajectories.group()
    said = samples.drop_duplicates("sample").set_index("sample")
    which = spread(run.n_samples, ENDPOINTS)
    frame = pd.concat([_endpoints(run, group, said, prepared, block) for block in _blocks(which)])
    with one_thread():
        parts = [_search(run, group, said, prepared), _evaluate(store, run, group, prepared)]
    if kept := len(kept_states(run)):
        which = affordable(run, 4 * prepared.dim * kept, BYTES)
        parts.append(pd.concat([_ends(run, group, prepared, block) for block in _blocks(which)]))
    for part in parts:
        frame = frame.join(part)
    return frame.reset_index(names="sample")


def stored_noise(run: Run, trajectories: Trajectories) -> Array:
    """x(0) as it is stored, of ``NOISE`` samples, (n, D)."""
    return _rows(trajectories.group()["x"].oindex[spread(run.n_samples, NOISE), 0])  # type: ignore[union-attr]


def _endpoints(run: Run, group: object, said: pd.DataFrame, prepared: Prepared, which: NDArray) -> pd.DataFrame:
    """Where no state is kept, x(1) and the displacement still tell the noise."""
    noise, x1 = _noise(run, which, prepared), _rows(group["x1"].oindex[which])  # type: ignore[index]
    here = said.reindex(which)
    displacement, norm = np.linalg.norm(x1 - noise, axis=1), np.linalg.norm(x1, axis=1)
    gap = np.abs(displacement - here["displacement"].to_numpy()) / (norm + displacement)
    return pd.DataFrame({
        "displacement_gap": never_nan(gap),
        "norm_gap": relative_gap(norm, here["norm"]),
        "d1_gap": relative_gap(np.linalg.norm(x1 - _points(prepared, here["nearest"]), axis=1), here["d1"]),
    }, index=which)  # fmt: skip


def _ends(run: Run, group: object, prepared: Prepared, which: NDArray) -> pd.DataFrame:
    """Of the stored states, the first and the last."""
    x, last = group["x"], len(kept_states(run)) - 1  # type: ignore[index]
    first, end = (_rows(x.oindex[which, state]) for state in (0, last))
    x1 = _rows(group["x1"].oindex[which])  # type: ignore[index]
    noise_gap = never_nan(np.abs(first - _noise(run, which, prepared)).max(axis=1))
    end_gap = never_nan(np.abs(end - x1).max(axis=1))
    return pd.DataFrame({"noise_gap": noise_gap, "end_gap": end_gap}, index=which)


def _search(run: Run, group: object, said: pd.DataFrame, prepared: Prepared) -> pd.DataFrame:
    """d1 and d2, searched for again among all training points."""
    which = affordable(run, 2.0 * prepared.n_points * prepared.dim, OPERATIONS)
    x1 = np.asarray(group["x1"].oindex[which]).reshape(len(which), -1)  # type: ignore[index]
    here = said.reindex(which)
    finite = torch.from_numpy(np.nan_to_num(x1))
    found = nearest(finite, torch.from_numpy(prepared.points), 2).distance.numpy()
    gaps = [relative_gap(here[name], found[:, i]) for i, name in enumerate(("d1", "d2"))]
    gap = np.where(np.isfinite(x1).all(axis=1), np.maximum(*gaps), np.inf)
    return pd.DataFrame({"nearest_gap": gap}, index=which)


def _evaluate(store: Store, run: Run, group: object, prepared: Prepared) -> pd.DataFrame:
    """The run's own field at the seed's noise, and at the stored state nearest to t = ½, against the powers stored."""
    if isinstance(run.field, ExactField):
        which = affordable(run, 8.0 * prepared.n_points * prepared.dim, OPERATIONS)
    else:
        which = spread(run.n_samples, LEAST)
    labels = labels_of(run, prepared)[which]
    batches = [slice(start, start + run.batch) for start in range(0, len(which), run.batch)]
    device, power = device_here(), group["power"]  # type: ignore[index]
    field = field_of(store, run, prepared, device)

    def gap(x: Array, t: float, step: int) -> Array:
        """Relative to the power, and to 1 % of the mean power where that is more, so that resting particles may differ."""
        with precision(nearest_precision(run.precision, device), device):
            again = np.concatenate([_power(field, x[rows], t, labels[rows], device) for rows in batches])
        stored = np.asarray(power.oindex[which, step], dtype=np.float64)
        scale = np.maximum(again, 0.01 * again.mean())
        found = np.abs(stored - again) / np.where(scale > 0, scale, 1.0)
        return never_nan(np.where(np.isfinite(x).all(axis=1), found, np.inf))

    columns = {"start_power_gap": gap(_noise(run, which, prepared), 0.0, 0)}
    times = np.asarray(group["t_step"][:])  # type: ignore[index]
    inside = [(k, int(i)) for k, i in enumerate(kept_states(run)) if 0 < i < run.steps]
    if inside:
        state, step = min(inside, key=lambda pair: abs(times[pair[1]] - 0.5))
        x = _rows(group["x"].oindex[which, state])  # type: ignore[index]
        columns["midway_power_gap"] = gap(x, float(times[step]), step)
    return pd.DataFrame(columns, index=which)


def _power(field: VelocityField, x: Array, t: float, labels: NDArray[np.int64], device: torch.device) -> Array:
    """‖v(x, t)‖², (B,); labels of −1 ask for no class."""
    asked = torch.from_numpy(labels).to(device) if (labels >= 0).all() else None
    velocity = field.evaluate(torch.from_numpy(np.nan_to_num(x)).to(device), t, asked).velocity.to(torch.float64)
    return np.asarray(torch.linalg.vecdot(velocity, velocity).cpu().numpy())


def _blocks(which: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [which[start : start + BLOCK] for start in range(0, len(which), BLOCK)]


def _noise(run: Run, which: NDArray, prepared: Prepared) -> Array:
    return np.concatenate([initial_noise(run.seed, int(i), int(i) + 1, prepared.dim) for i in which])


def _rows(values: object) -> Array:
    array = np.asarray(values, dtype=np.float64)
    return array.reshape(len(array), -1)


def _points(prepared: Prepared, index: pd.Series) -> Array:
    """The training points named; NaN where the index names none."""
    out = np.full((len(index), prepared.dim), np.nan)
    named = index.between(0, prepared.n_points - 1).to_numpy()
    out[named] = prepared.points[index[named].to_numpy(dtype=np.int64)]
    return out
