"""The Zarr group: readable by plain xarray, written whole, its memory set by the batch."""

import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from kpe_core.sampling.noise import initial_noise
from kpe_core.stages.resolve import resolve
from kpe_core.stages.sample import create_trajectories, sample_shard
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Plan, Trajectories, _state_blocks, kept_states
from kpe_core.study.runs import Cell, Run, cells
from kpe_core.study.specs import StatesSpec, Study


def run_with(store: Store, study: Study, **changes: object) -> Run:
    """The tiny study's planar run, with other choices."""
    cell = next(iter(cells(study)))
    run = resolve(store, Cell.model_validate(cell.model_dump() | changes))
    assert run is not None
    return run


def test_opens_in_plain_xarray(tiny_store: Store, tiny_runs: list[Run]) -> None:
    """In another process, without this project on the path, and without a warning."""
    path = tiny_store.path("trajectories", tiny_runs[1].trajectories_id, "data.zarr")
    code = (
        "import sys, warnings; warnings.simplefilter('error')\n"
        "import xarray as xr\n"
        f"d = xr.open_zarr({path!r})\n"
        "assert d.x.dims == ('sample', 'state', 'row', 'column'), d.x.dims\n"
        "assert {'t', 'label', 't_step', 'dt', 'eta', 'sample', 'step'} <= set(d.coords), d.coords\n"
        "assert d.kpe.attrs['units'] == 'coordinate²/time' and 'path energy' in d.kpe.attrs['long_name']\n"
        "assert d.attrs['provenance']['torch'] and d.attrs['spec']['data']['name'] == 'digits'\n"
        "assert float(d.t[0]) == 0.0 and float(d.t[-1]) == 1.0\n"
        "assert not d.x.isnull().any() and 'kpe_core' not in sys.modules\n"
        "print('fine')"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, cwd="/")
    assert done.stdout.strip() == "fine", done.stderr


def test_stored_states_begin_with_the_noise_and_end_at_x1(tiny_store: Store, tiny_runs: list[Run]) -> None:
    for run in tiny_runs:
        d = xr.open_zarr(tiny_store.path("trajectories", run.trajectories_id, "data.zarr"))
        dim = int(np.prod(d.x.shape[2:]))
        noise = initial_noise(run.seed, 0, run.n_samples, dim).astype(np.float32)
        assert np.array_equal(d.x[:, 0].values.reshape(-1, dim), noise)
        assert np.array_equal(d.x[:, -1].values, d.x1.values)
        moved = np.linalg.norm((d.x1.values.reshape(-1, dim) - noise).astype(np.float64), axis=1)
        assert moved == pytest.approx(d.displacement.values, rel=1e-5)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"keep": "all"}, list(range(11))),
        ({"keep": "every", "every": 4}, [0, 4, 8, 10]),
        ({"keep": "endpoints"}, [0, 10]),
        ({"keep": "none"}, []),
    ],
)
def test_states_kept_as_asked(tiny: Study, tmp_path: Path, states: dict[str, object], expected: list[int]) -> None:
    store = Store.create_or_open(str(tmp_path))
    run = run_with(store, tiny, states=states, nfe=10, n_samples=30)
    assert kept_states(run).tolist() == expected
    plan = create_trajectories(store, run, 1000)
    for shard in range(plan.n_shards):
        sample_shard(store, run, shard)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        d = xr.open_zarr(store.path("trajectories", run.trajectories_id, "data.zarr"))
    assert ("x" in d) == bool(expected)
    if expected:
        assert d.x.shape[:2] == (30, len(expected))
        assert not d.x.isnull().any()
    assert not d.x1.isnull().any()


def test_what_is_kept_does_not_change_the_numbers(tiny: Study, tmp_path: Path) -> None:
    store = Store.create_or_open(str(tmp_path))
    energies = []
    for keep in ("all", "none"):
        run = run_with(store, tiny, states={"keep": keep}, nfe=10, n_samples=30)
        create_trajectories(store, run, 1000)
        sample_shard(store, run, 0)
        energies.append(np.asarray(Trajectories(store, run.trajectories_id).group()["kpe"][:]))  # type: ignore[index]
    assert np.array_equal(*energies)


def test_memory_is_set_by_the_batch_not_by_the_steps(
    tiny: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times the steps, all states kept: the peak grows by the power's few copies, not by the states."""
    monkeypatch.setattr("kpe_core.store.trajectories.OBJECT_BYTES", 2 * 2**20)
    store = Store.create_or_open(str(tmp_path))
    peaks = []
    for steps in (500, 2000):
        data = {"name": "digits", "n_train": 16}
        run = run_with(store, tiny, data=data, states={"keep": "all"}, nfe=steps, n_samples=128, batch=128)
        create_trajectories(store, run, 128)
        tracemalloc.start()
        sample_shard(store, run, 0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    more_states, more_power = 128 * 1500 * 64 * 4, 128 * 1500 * 8
    assert peaks[1] - peaks[0] < 10 * more_power < more_states / 3


def test_plan_covers_every_sample_once() -> None:
    plan = Plan(n_samples=1010, shard_size=250)
    rows = [r for shard in range(plan.n_shards) for r in range(*plan.rows(shard))]
    assert rows == list(range(1010))


@pytest.mark.parametrize("dim", [2, 64, 784, 3072, 196608])
@pytest.mark.parametrize("batch", [1, 7, 125, 128])
@pytest.mark.parametrize("n_states", [2, 51, 1001])
def test_chunks_divide_their_objects(dim: int, batch: int, n_states: int) -> None:
    block, (samples, states) = _state_blocks(batch, n_states, dim)
    assert block % states == 0
    assert batch % samples == 0


def test_a_begun_store_keeps_its_shards(tiny: Study, tmp_path: Path) -> None:
    """A second command with another shard size goes on with the layout it finds."""
    store = Store.create_or_open(str(tmp_path))
    run = run_with(store, tiny, n_samples=100)
    assert create_trajectories(store, run, 40).shard_size == 40
    sample_shard(store, run, 1)
    assert create_trajectories(store, run, 100).shard_size == 40
    assert Trajectories(store, run.trajectories_id).missing() == [0, 2]


def test_batches_longer_than_the_run(tiny: Study, tmp_path: Path) -> None:
    store = Store.create_or_open(str(tmp_path))
    run = run_with(store, tiny, n_samples=3, batch=20, states=StatesSpec().model_dump())
    assert create_trajectories(store, run, 1).n_shards == 1
    assert sample_shard(store, run, 0)["rows"] == [0, 3]
