"""The adaptive sampler against SciPy's own integrator at a tolerance of 1e-12, sample by sample."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from kpe_core.errors import NumericalTrouble
from kpe_core.fields.efm import ExactField
from kpe_core.sampling.path import Path, follow
from kpe_core.sampling.sampler import Course
from tests.kpe_core.sampling.known import NOISE, PLAIN, SHAPED, Formula, course, swirl, swirl_np, walk

TIMES = np.linspace(0.0, 1.0, 11)
Eta = Callable[[float], float]


def by_scipy(x0: np.ndarray, eta: Eta, corners: tuple[float, ...], times: np.ndarray = TIMES) -> np.ndarray:
    """(n + 1, D + 3): the state, ½∫‖ηv‖², ½∫‖v‖² and the length, corner to corner, of one sample in the swirl."""

    def drift(t: float, y: np.ndarray, gain: Eta) -> np.ndarray:
        v = swirl_np(y[None, :-3], t)[0]
        eta_t, power = gain(t), v @ v
        return np.concatenate([eta_t * v, [0.5 * eta_t**2 * power, 0.5 * power, eta_t * np.sqrt(power)]])

    y, rows = np.concatenate([x0, np.zeros(3)]), {0.0: np.concatenate([x0, np.zeros(3)])}
    for a, b in itertools.pairwise([0.0, *corners, 1.0]):
        inside = times[(times > a) & (times <= b)]

        def within(t: float, last: float = b) -> float:
            return eta(min(t, np.nextafter(last, 0)) if last < 1 else t)

        found = solve_ivp(
            drift, (a, b), y, "DOP853", t_eval=np.unique([*inside, b]), args=(within,), rtol=1e-12, atol=1e-12
        )
        rows |= dict(zip(inside.tolist(), found.y.T, strict=False))
        y = found.y[:, -1]
    return np.stack([rows[t] for t in times.tolist()])


def kept(way: Course, split: float = 0.6) -> tuple[Path, np.ndarray]:
    """A path through the swirl and all its states, (B, n + 1, D)."""
    states: list[Tensor] = []
    path = follow(Formula(swirl), NOISE, None, way, split, lambda i, x: states.append(x))
    return path, torch.stack(states, dim=1).numpy()


def jump(t: float) -> float:
    return 1.5 if t < 0.37 else 0.8


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-9])
@pytest.mark.parametrize("how", ["plain", "shaped", "jump off the grid"])
def test_agrees_with_scipy(how: str, tolerance: float) -> None:
    eta, corners = {
        "plain": (course("dopri5", 1, shaping=PLAIN).eta, ()),
        "shaped": (course("dopri5", 1, shaping=SHAPED).eta, (0.6,)),
        "jump off the grid": (jump, (0.37,)),
    }[how]
    path, states = kept(Course(TIMES, eta, "dopri5", corners, tolerance))
    truth = np.stack([by_scipy(x0, eta, corners) for x0 in NOISE.numpy()])
    # Errors of steps add up along the path, and this field stretches them.
    assert np.abs(states - truth[:, :, :-3]).max() < 20 * tolerance
    e = path.energies
    for found, column in ((e.kpe, -3), (e.kpe_raw, -2), (e.path_length, -1)):
        assert np.abs(found - truth[:, -1, column]).max() < 40 * tolerance
    assert np.abs(e.kpe_early - truth[:, 6, -3]).max() < 40 * tolerance
    assert np.diff(truth[:, :, -3], axis=1) == pytest.approx(path.spent.energy, abs=40 * tolerance)


def test_power_is_the_fields_own_at_the_grids_states() -> None:
    path, states = kept(Course(TIMES, solver="dopri5"))
    for i, t in enumerate(TIMES[:-1].tolist()):
        assert path.spent.power[:, i] == pytest.approx(np.square(swirl_np(states[:, i], t)).sum(axis=1), rel=1e-12)


def test_a_jump_of_the_gain_costs_no_more_than_a_second_start() -> None:
    """Steps up to it see the gain before it; without being told of it they would have to grope for it."""
    smooth, told, untold = (
        walk(Formula(swirl), Course(TIMES, eta, "dopri5", corners, 1e-8)).evaluations
        for eta, corners in ((lambda t: 1.0, ()), (jump, (0.37,)), (jump, ()))
    )
    assert told < smooth + 50 < untold


@pytest.mark.parametrize("batch", [1, 16, 256])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-6])
def test_tolerance_holds_for_one_stiff_sample_among_many(batch: int, tolerance: float) -> None:
    """ẋ = −λ(x − sin 5t), x(0) = 1, with λ = 60 in one row and 1 in the others; λ rides along as a coordinate."""
    lam, w = 60.0, 5.0

    def relax(x: Tensor, t: float) -> Tensor:
        rate = x[:, 1:]
        return torch.cat([-rate * (x[:, :1] - np.sin(w * t)), torch.zeros_like(rate)], dim=1)

    x0 = torch.ones(batch, 2, dtype=torch.float64)
    x0[-1, 1] = lam
    states: list[Tensor] = []
    follow(
        Formula(relax),
        x0,
        None,
        Course(TIMES, solver="dopri5", tolerance=tolerance),
        0.6,
        lambda i, x: states.append(x),
    )
    a, b = lam**2 / (lam**2 + w**2), -lam * w / (lam**2 + w**2)
    truth = a * np.sin(w * TIMES) + b * np.cos(w * TIMES) + (1 - b) * np.exp(-lam * TIMES)
    assert np.abs(torch.stack(states)[:, -1, 0].numpy() - truth).max() < 3 * tolerance


@pytest.mark.parametrize("steps", [1, 3, 50])
@pytest.mark.parametrize("breaks", [(), (0.37,)])
def test_counts_every_evaluation(steps: int, breaks: tuple[float, ...]) -> None:
    field = Formula(swirl)
    path = walk(field, Course(np.linspace(0, 1, steps + 1), solver="dopri5", breaks=breaks))
    assert path.evaluations == len(field.asked)
    assert field.asked.count(1.0) >= 1


@pytest.mark.parametrize("c", [0.0, 3.0])
def test_a_constant_field_is_one_straight_line(c: float) -> None:
    path = walk(Formula(lambda x, t: torch.full_like(x, c)), Course(TIMES, solver="dopri5"))
    assert torch.allclose(path.x1, NOISE + c, rtol=0, atol=1e-13)
    assert path.energies.kpe == pytest.approx(1.5 * c**2, rel=1e-12)
    assert path.evaluations < 11 + 60, "steps grow tenfold while nothing happens"


def test_the_exact_field_of_one_point() -> None:
    """Straight at constant speed; the last interval is Euler's, so that x(1) is the point itself."""
    point = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    path = walk(ExactField(point), Course(TIMES, solver="dopri5", tolerance=1e-8))
    assert torch.allclose(path.x1, point.expand_as(path.x1), rtol=0, atol=1e-12)
    assert path.energies.kpe == pytest.approx(0.5 * (point - NOISE).square().sum(dim=1).numpy(), rel=1e-7)
    assert path.energies.kpe_early == pytest.approx(0.6 * path.energies.kpe, rel=1e-7)


def test_a_blow_up_is_named() -> None:
    """ẋ = x² leaves every bound at t = ½ from x = 2."""
    with pytest.raises(NumericalTrouble, match=r"t = 0\.(4|5)"):
        walk(Formula(lambda x, t: x**2), Course(TIMES, solver="dopri5"), torch.full((1, 1), 2.0, dtype=torch.float64))
