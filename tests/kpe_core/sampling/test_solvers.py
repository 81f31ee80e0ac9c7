"""The solvers one by one: their tableaux, what they ask of a field, and what no discretisation may break."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from kpe_core.fields.efm import ExactField
from kpe_core.sampling.sampler import Course
from kpe_core.sampling.shaping import gain
from kpe_core.sampling.solvers import SOLVERS, Tableau
from kpe_core.study.specs import ShapingSpec
from tests.kpe_core.sampling.known import (
    FIXED,
    NOISE,
    SHAPED,
    Formula,
    Grid,
    course,
    steps_of,
    swirl,
    swirl_np,
    walk,
)

STEPS = 6
GRIDS = arrays(np.float64, STEPS, elements=st.floats(0.01, 1)).map(lambda dt: np.append(0.0, np.cumsum(dt) / dt.sum()))


def square(method: Tableau) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a filled up with zeros, b, c."""
    n = len(method.c)
    return np.array([[*row, *[0.0] * (n - len(row))] for row in method.a]), np.array(method.b), np.array(method.c)


@pytest.mark.parametrize("name", FIXED)
def test_order_conditions(name: str) -> None:
    """Hairer, Nørsett & Wanner, Solving Ordinary Differential Equations I, §II.2: every tree up to order 4."""
    method = SOLVERS[name]
    assert isinstance(method, Tableau)
    a, b, c = square(method)
    conditions = {
        1: [(b.sum(), 1)],
        2: [(b @ c, 1 / 2)],
        3: [(b @ c**2, 1 / 3), (b @ a @ c, 1 / 6)],
        4: [(b @ c**3, 1 / 4), ((b * c) @ a @ c, 1 / 8), (b @ a @ c**2, 1 / 12), (b @ a @ a @ c, 1 / 24)],
    }
    assert a.sum(axis=1) == pytest.approx(c, abs=1e-15)
    assert [len(row) for row in method.a] == list(range(len(c))), "explicit"
    assert np.all(b >= 0), "or E ≥ ½‖Δx‖² would not follow"
    for order in range(1, method.order + 1):
        for value, expected in conditions[order]:
            assert value == pytest.approx(expected, abs=1e-15)
    beyond = conditions.get(method.order + 1, [])
    assert not beyond or any(abs(value - expected) > 1e-3 for value, expected in beyond), "the order is the highest"


def test_the_adaptive_one_is_scipys() -> None:
    from scipy.integrate import RK45

    assert SOLVERS["dopri5"].order == RK45.order
    assert pytest.approx([19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0]) == RK45.A[4]
    assert pytest.approx([35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84]) == RK45.B


@pytest.mark.parametrize("grid", ["uniform", "cosine"])
def test_heun_ke_is_the_published_one(grid: Grid) -> None:
    """x̃ = x + η(tᵢ) dt v(x, tᵢ);  x ← x + ½(η(tᵢ) + η(tᵢ₊₁)) dt ½(v(x, tᵢ) + v(x̃, tᵢ₊₁))   (METHOD §4)"""
    way, x, spent = course("heun_ke", 10, grid, SHAPED), NOISE.numpy(), np.zeros(len(NOISE))
    for t, t_next in zip(way.times[:-1].tolist(), way.times[1:].tolist(), strict=True):
        dt, mean_gain = t_next - t, 0.5 * (way.eta(t) + way.eta(t_next))
        here = swirl_np(x, t)
        ahead = swirl_np(x + way.eta(t) * dt * here, t_next)
        spent += 0.5 * dt * mean_gain**2 * 0.5 * (np.square(here).sum(axis=1) + np.square(ahead).sum(axis=1))
        x = x + mean_gain * dt * 0.5 * (here + ahead)
    path = walk(Formula(swirl), way)
    assert path.x1.numpy() == pytest.approx(x, abs=1e-12)
    assert path.energies.kpe == pytest.approx(spent, rel=1e-12)


def test_heun_and_heun_ke_differ_only_under_shaping() -> None:
    plain, ke = (walk(Formula(swirl), course(name, 7)) for name in ("heun", "heun_ke"))
    assert torch.equal(plain.x1, ke.x1)
    assert np.array_equal(plain.energies.kpe, ke.energies.kpe)
    plain, ke = (walk(Formula(swirl), course(name, 7, shaping=SHAPED)) for name in ("heun", "heun_ke"))
    assert not torch.allclose(plain.x1, ke.x1, rtol=1e-6)


def test_rk4_under_shaping_multiplies_every_stage() -> None:
    way, x = course("rk4", 8, shaping=SHAPED), NOISE.numpy()
    for t, t_next in zip(way.times[:-1].tolist(), way.times[1:].tolist(), strict=True):
        h, half = t_next - t, t + 0.5 * (t_next - t)
        k1 = way.eta(t) * swirl_np(x, t)
        k2 = way.eta(half) * swirl_np(x + h / 2 * k1, half)
        k3 = way.eta(half) * swirl_np(x + h / 2 * k2, half)
        k4 = way.eta(t_next) * swirl_np(x + h * k3, t_next)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    assert walk(Formula(swirl), way).x1.numpy() == pytest.approx(x, abs=1e-12)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("singular", [True, False])
@pytest.mark.parametrize("grid", ["uniform", "cosine"])
@pytest.mark.parametrize("steps", [1, 2, 5, 49])
def test_counts_what_it_asks_and_never_asks_at_a_singular_one(
    name: str, singular: bool, grid: Grid, steps: int
) -> None:
    field = Formula(swirl, singular_at_one=singular)
    path = walk(field, course(name, steps, grid))
    assert path.evaluations == len(field.asked)
    assert (max(field.asked) < 1) == singular
    method = SOLVERS[name]
    if isinstance(method, Tableau):
        shortened = singular and max(method.c) == 1.0
        expected = method.evaluations * steps - shortened * (method.evaluations - 1) + (not singular)
        assert path.evaluations == expected


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("steps", [1, 2, 49])
@pytest.mark.parametrize("grid", ["uniform", "cosine"])
def test_the_exact_field_is_followed_to_its_end(name: str, steps: int, grid: Grid) -> None:
    """It refuses t ≥ 1, so that this would raise."""
    points = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    path = walk(ExactField(points), course(name, steps, grid))
    assert bool(torch.isfinite(path.x1).all())


@pytest.mark.parametrize("name", SOLVERS)
def test_zero_shaping_changes_no_bit(name: str) -> None:
    zero = ShapingSpec(alpha0=0.0, beta0=0.0, tau=0.3, launch="exponential", landing="linear")
    plain = walk(Formula(swirl), Course(course(name, 9).times, solver=name))
    shaped = walk(Formula(swirl), Course(plain_times := course(name, 9).times, lambda t: gain(zero, t), name))
    assert torch.equal(plain.x1, shaped.x1)
    for field_name in plain.energies.__dataclass_fields__:
        assert np.array_equal(getattr(plain.energies, field_name), getattr(shaped.energies, field_name)), field_name
    assert np.array_equal(plain_times, course(name, 9, shaping=zero).times)


@given(
    weights=arrays(np.float64, (3, 3), elements=st.floats(-4, 4)), times=GRIDS,
    gains=arrays(np.float64, STEPS + 1, elements=st.floats(0, 3)), name=st.sampled_from(FIXED),
)  # fmt: skip
@settings(deadline=None, max_examples=150)
def test_no_path_is_cheaper_than_the_straight_line(
    weights: np.ndarray, times: np.ndarray, gains: np.ndarray, name: str
) -> None:
    """E ≥ ½‖x(1) − x(0)‖² and length ≥ ‖x(1) − x(0)‖ exactly (Jensen): any field, grid, gain, solver."""
    times[-1] = 1.0

    def velocity(x: Tensor, t: float) -> Tensor:
        return torch.sin(x @ torch.from_numpy(weights)) + t * x

    way = Course(times, lambda t: float(np.interp(t, times, gains)), name)
    e = walk(Formula(velocity), way).energies
    assert np.all(e.kpe >= 0.5 * e.displacement**2 * (1 - 1e-12) - 1e-15)
    assert np.all(e.straightness <= 1 + 1e-12)
    assert np.all(e.path_length >= e.displacement * (1 - 1e-12))


@pytest.mark.parametrize("name", FIXED)
def test_lengths_and_energies_are_each_steps_own(name: str) -> None:
    taken = steps_of(Formula(swirl), course(name, 8, shaping=SHAPED))
    states = torch.stack([NOISE, *[s.state for s in taken]])
    lengths = torch.linalg.vector_norm(states.diff(dim=0), dim=2)
    assert torch.allclose(torch.stack([s.length for s in taken]), lengths, rtol=1e-10)
    energy = torch.stack([s.energy for s in taken])
    assert bool((energy >= 0.5 * lengths**2 * 8 * (1 - 1e-12)).all())
    assert [s.index for s in taken] == list(range(8))
