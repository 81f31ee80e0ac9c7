"""Fields that make no sense are stopped in the first batch by the stage that samples, which names sample, step and time."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from kpe_core.errors import NumericalTrouble
from kpe_core.stages import sample
from kpe_core.stages.resolve import resolve
from kpe_core.stages.sample import create_trajectories, sample_shard
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.load import load_study
from kpe_core.study.runs import Run, cells
from tests.kpe_core.sampling.known import Formula

STUDY = """
name: odd
title: An odd field
experiments:
  - name: odd
    data: {name: dense_sparse, n_train: 60}
    fields: {kind: exact}
    sampling: {n_samples: 40, nfe: 20, batch: 20, states: {keep: none}}
"""
Velocity = Callable[[Tensor, float], Tensor]
Odd = Callable[[str, Velocity], tuple[Store, Run]]


@pytest.fixture
def odd(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> Odd:
    def with_field(solver: str, velocity: Velocity) -> tuple[Store, Run]:
        (file := tmp_path / "odd.yaml").write_text(STUDY)  # type: ignore[operator]
        study = load_study(str(file), [f"experiments.odd.sampling.solvers={solver}"])
        store = Store.create_or_open(str(tmp_path / "store"))  # type: ignore[operator]
        run = resolve(store, next(iter(cells(study))))
        assert run is not None
        create_trajectories(store, run, 20)
        monkeypatch.setattr(sample, "field_of", lambda *_: Formula(velocity))
        return store, run

    return with_field


def of_row(row: int, value: float, late: float) -> Velocity:
    """Sound before ``late``, then ``value`` in one row (counted from the end, as a batch may be asked in part)."""

    def velocity(x: Tensor, t: float) -> Tensor:
        v = x.cos() + t
        if t >= late and len(x) > row:
            v = v.clone()
            v[row] = value
        return v

    return velocity


@pytest.mark.parametrize("solver", ["euler", "heun", "rk4", "dopri5"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_not_finite(odd: Odd, solver: str, value: float) -> None:
    store, run = odd(solver, of_row(13, value, late=0.7))
    with pytest.raises(
        NumericalTrouble, match=r"sample 33: velocity is not finite .* at step \d+, t = 0\.[7-9]|sample 33.*1\b"
    ):
        sample_shard(store, run, 1)
    assert Trajectories(store, run.trajectories_id).committed() == set()


@pytest.mark.parametrize("solver", ["euler", "heun", "dopri5"])
def test_explodes_late(odd: Odd, solver: str) -> None:
    """Every velocity is finite, and would be for long: the path is not."""

    def velocity(x: Tensor, t: float) -> Tensor:
        return torch.where(torch.tensor(t > 0.5), 1e4 * x, x.cos() + t)

    store, run = odd(solver, velocity)
    with pytest.raises(
        NumericalTrouble, match=r"sample \d+: the path has gone beyond 1e\+10 .* at step \d+, t = 0\.[5-9]"
    ):
        sample_shard(store, run, 0)


@pytest.mark.parametrize("solver", ["euler", "dopri5"])
@pytest.mark.parametrize(
    ("velocity", "said"),
    [
        (lambda x, t: x[:, :1] + t, r"float64 of shape \(20, 1\) at step 0, t = 0; for states \(20, 2\)"),
        (lambda x, t: (x + t).sum(dim=1), r"shape \(20,\)"),
        (lambda x, t: (10 * x).long() + int(9 * t), r"torch.int64"),
        (lambda x, t: torch.complex(x, x + t), r"torch.complex128"),
    ],
)
def test_of_another_form(odd: Odd, solver: str, velocity: Velocity, said: str) -> None:
    store, run = odd(solver, velocity)
    with pytest.raises(NumericalTrouble, match=rf"run odd.*samples 0–19: the field returns .*{said}"):
        sample_shard(store, run, 0)


def test_not_deterministic(odd: Odd) -> None:
    calls = itertools.count()
    store, run = odd("euler", lambda x, t: x.cos() + t + 1e-9 * next(calls))
    with pytest.raises(NumericalTrouble, match=r"sample 20: the field is not deterministic.*t = 0\.5.*differ by 1e-09"):
        sample_shard(store, run, 1)


def test_a_field_that_ignores_time_is_flagged(odd: Odd) -> None:
    store, run = odd("euler", lambda x, t: x.cos())
    assert "ignores t" in sample_shard(store, run, 0)["flags"][0]
    store, run = odd("heun", lambda x, t: x.cos() + t)
    assert sample_shard(store, run, 0)["flags"] == []
