"""Following a batch to its end: what is kept, told and counted."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kpe_core.fields.bridges import COSINE
from kpe_core.fields.efm import ExactField
from kpe_core.sampling.path import TOLD, follow
from kpe_core.sampling.solvers import SOLVERS
from tests.kpe_core.sampling.known import FIXED, NOISE, SHAPED, Formula, course, steps_of, swirl, walk

POINTS = torch.randn(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("solver", SOLVERS)
def test_keeps_every_state_once_in_order(solver: str) -> None:
    kept: list[tuple[int, Tensor]] = []
    way = course(solver, 7)
    path = follow(Formula(swirl), NOISE, None, way, 0.6, lambda i, x: kept.append((i, x)))
    assert [i for i, _ in kept] == list(range(8))
    assert torch.equal(kept[0][1], NOISE)
    assert torch.equal(kept[-1][1], path.x1)
    for (_, state), step in zip(kept[1:], steps_of(Formula(swirl), way), strict=True):
        assert torch.equal(state, step.state)


@pytest.mark.parametrize("solver", SOLVERS)
def test_columns_are_what_the_steps_said(solver: str) -> None:
    way = course(solver, 7, shaping=SHAPED)
    path, taken = walk(ExactField(POINTS), way), steps_of(ExactField(POINTS), way)
    assert set(path.told) == set(TOLD)
    columns = {name: getattr(path.spent, name) for name in ("power", "energy", "energy_raw", "length")} | path.told
    for name, column in columns.items():
        assert column.shape == (6, 7)
        assert np.array_equal(column, torch.stack([getattr(s, name) for s in taken], dim=1).numpy()), name
    assert path.evaluations == sum(s.evaluations for s in taken)
    assert path.energies.displacement == pytest.approx(torch.linalg.vector_norm(path.x1 - NOISE, dim=1).numpy())


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("bridge", [None, COSINE])
def test_what_is_told_is_told_of_the_steps_start(solver: str, bridge: object) -> None:
    field = ExactField(POINTS) if bridge is None else ExactField(POINTS, bridge=COSINE)
    states: list[Tensor] = []
    way = course(solver, 5)
    path = follow(field, NOISE, None, way, 0.6, lambda i, x: states.append(x))
    for i, t in enumerate(way.times[:-1].tolist()):
        here = field.evaluate(states[i], t)
        assert path.spent.power[:, i] == pytest.approx(here.velocity.square().sum(dim=1).numpy(), rel=1e-9)
        for name in TOLD:
            assert path.told[name][:, i] == pytest.approx(getattr(here, name).numpy(), rel=1e-9, abs=1e-12), name


def test_a_field_that_tells_nothing_leaves_nothing() -> None:
    assert walk(Formula(swirl), course("euler", 3)).told == {}


@pytest.mark.parametrize("singular", [True, False])
def test_power_at_one_is_the_fields_own_where_it_has_one(singular: bool) -> None:
    path = walk(Formula(swirl, singular_at_one=singular), course("heun", 4))
    expected = path.spent.power[:, -1] if singular else swirl(path.x1, 1.0).square().sum(dim=1).numpy()
    assert np.array_equal(path.spent.end_power, expected)


@pytest.mark.parametrize("solver", FIXED)
def test_energies_are_those_of_the_steps(solver: str) -> None:
    path = walk(Formula(swirl), course(solver, 9, "cosine", SHAPED))
    assert np.array_equal(path.energies.kpe, path.spent.energy.sum(axis=1))
    assert np.array_equal(path.energies.path_length, path.spent.length.sum(axis=1))
    eta = np.array([course(solver, 9, shaping=SHAPED).eta(t) for t in course(solver, 9, "cosine").times])
    effective = np.column_stack([path.spent.power, path.spent.end_power]) * eta**2
    assert path.energies.kpe_trapezoid == pytest.approx(
        0.5 * np.trapezoid(effective, course(solver, 9, "cosine").times, axis=1), rel=1e-12
    )
    if solver == "euler":
        assert path.energies.kpe == pytest.approx(path.energies.kpe_left, rel=1e-14)


@given(split=st.floats(0.01, 0.99), solver=st.sampled_from(sorted(SOLVERS)))
@settings(deadline=None, max_examples=30)
def test_early_and_late_make_the_whole_wherever_the_split(split: float, solver: str) -> None:
    e = walk(Formula(swirl), course(solver, 6, shaping=SHAPED), split=split).energies
    assert np.all((e.kpe_early >= 0) & (e.kpe_late >= 0))
    assert e.kpe_early + e.kpe_late == pytest.approx(e.kpe, rel=1e-12)
