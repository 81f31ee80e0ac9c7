"""What must not matter: the frame the data are given in, the batch a sample is in, the order of anything."""

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group
from torch import Tensor

from kpe_core.fields.bridges import COSINE, LINEAR, Bridge
from kpe_core.fields.efm import ExactField
from kpe_core.sampling.path import TOLD, Path, follow
from kpe_core.sampling.solvers import SOLVERS
from tests.kpe_core.sampling.known import FIXED, PLAIN, SHAPED, Formula, course, swirl, walk

D = 5
NOISE = torch.Generator().manual_seed(11)
POINTS = 2 * torch.randn(25, D, dtype=torch.float64, generator=NOISE)
LABELS = torch.arange(25) % 2
X0 = torch.randn(40, D, dtype=torch.float64, generator=NOISE)
ASKED = torch.arange(40) % 2
FRAME_FREE = ("kpe", "kpe_raw", "kpe_early", "kpe_late", "kpe_left", "kpe_trapezoid", "kpe_simpson", "peak_power",
              "path_length", "displacement", "straightness")  # fmt: skip


def agree(a: Path, b: Path, names: tuple[str, ...] = FRAME_FREE, tolerance: float = 1e-9) -> None:
    for name in names:
        assert getattr(a.energies, name) == pytest.approx(getattr(b.energies, name), rel=tolerance, abs=tolerance), name
    for name in TOLD:
        assert a.told[name] == pytest.approx(b.told[name], rel=tolerance, abs=tolerance), name


def sub(path: Path, rows: Tensor) -> tuple[Tensor, dict[str, np.ndarray]]:
    columns = {name: getattr(path.energies, name)[rows] for name in FRAME_FREE}
    return path.x1[rows], columns | {name: column[rows.numpy()] for name, column in path.told.items()}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("bridge", [LINEAR, COSINE])
def test_rotating_data_and_noise_rotates_the_paths(solver: str, bridge: Bridge) -> None:
    turn = torch.from_numpy(ortho_group.rvs(D, random_state=0))
    way, tolerance = course(solver, 12, shaping=SHAPED, tolerance=1e-10), 1e-9 if solver in FIXED else 1e-7
    here, there = (walk(ExactField(POINTS @ r.T, bridge=bridge), way, X0 @ r.T) for r in (torch.eye(D).double(), turn))
    assert torch.allclose(there.x1, here.x1 @ turn.T, rtol=0, atol=tolerance)
    agree(here, there, tolerance=tolerance)


@pytest.mark.parametrize("solver", FIXED)
def test_moving_the_data_moves_the_paths_along_a_straight_line(solver: str) -> None:
    """Linear bridge: v(x + t c; X + c) = v(x; X) + c, so x_t moves by t c and E by c·Δx + ½‖c‖²; p_t(x + t c) stays."""
    c = torch.tensor([3.0, -1.0, 0.5, 0.0, 2.0], dtype=torch.float64)
    way, states = course(solver, 12), ([], [])
    here = follow(ExactField(POINTS), X0, None, way, 0.6, lambda i, x: states[0].append(x))
    there = follow(ExactField(POINTS + c), X0, None, way, 0.6, lambda i, x: states[1].append(x))
    for t, a, b in zip(way.times.tolist(), *states, strict=True):
        assert torch.allclose(b, a + t * c, rtol=0, atol=1e-9)
    shift = (here.x1 - X0) @ c + 0.5 * c @ c
    assert there.energies.kpe == pytest.approx(here.energies.kpe + shift.numpy(), rel=1e-9)
    agree(here, there, names=())


@pytest.mark.parametrize("solver", ["dopri5", "rk4"])
def test_and_along_the_schedule_on_other_bridges(solver: str) -> None:
    """v moves by γ̇ c and x_t by γ c; solvers follow γ as well as they can."""
    c = torch.tensor([0.3, -0.1, 0.05, 0.0, 0.2], dtype=torch.float64)
    for t in (0.0, 0.4, 0.9):
        at, x = COSINE.at(t), COSINE.at(t).gamma * POINTS[:8] + COSINE.at(t).sigma * X0[:8]
        v = [ExactField(POINTS + s, bridge=COSINE).evaluate(x + at.gamma * s, t).velocity for s in (0 * c, c)]
        assert torch.allclose(v[1], v[0] + at.rate * c, rtol=0, atol=1e-10)
    states: tuple[list[Tensor], list[Tensor]] = ([], [])
    way = course(solver, 100, tolerance=1e-8)
    for shift, kept in zip((0 * c, c), states, strict=True):
        follow(ExactField(POINTS + shift, bridge=COSINE), X0, None, way, 0.6, lambda i, x, kept=kept: kept.append(x))
    for i, (a, b) in enumerate(zip(*states, strict=True)):
        if i < 90:
            assert torch.allclose(b, a + COSINE.at(float(way.times[i])).gamma * c, rtol=0, atol=1e-5)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("shaping", [PLAIN, SHAPED])
def test_the_batch_and_its_order_do_not_matter(solver: str, shaping: object) -> None:
    """To rounding; the adaptive solver's steps are the batch's, so that its tolerance is what it keeps."""
    field = ExactField(POINTS, LABELS)
    way = course(solver, 12, shaping=SHAPED if shaping is SHAPED else PLAIN, tolerance=1e-9)
    tolerance = 1e-9 if solver in FIXED else 1e-6
    whole = follow(field, X0, ASKED, way, 0.6)
    shuffled = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    for rows in (shuffled, torch.arange(7), torch.tensor([39])):
        part = follow(field, X0[rows], ASKED[rows], way, 0.6)
        x1, columns = sub(whole, rows)
        assert torch.allclose(part.x1, x1, rtol=0, atol=tolerance)
        for name, expected in columns.items():
            found = part.told[name] if name in part.told else getattr(part.energies, name)
            assert found == pytest.approx(expected, rel=tolerance, abs=tolerance), name


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_the_order_of_the_training_points_does_not_matter(dtype: torch.dtype, tolerance: float) -> None:
    """In enough dimensions that float32 products are used where asked for."""
    noise = torch.Generator().manual_seed(3)
    points, x0 = (
        torch.randn(300, 40, generator=noise).to(dtype),
        torch.randn(20, 40, dtype=torch.float64, generator=noise),
    )
    order, way = torch.randperm(300, generator=noise), course("heun", 20)
    here, there = (walk(ExactField(p, dtype=dtype), way, x0) for p in (points, points[order]))
    assert torch.allclose(here.x1, there.x1, rtol=0, atol=tolerance)
    agree(here, there, tolerance=tolerance)


@pytest.mark.parametrize("solver", FIXED)
def test_one_step_more_of_nothing_changes_nothing(solver: str) -> None:
    """A field asked twice answers the same: nothing is remembered from one path to the next."""
    field, way = Formula(swirl), course(solver, 9)
    first, second = walk(field, way, X0), walk(field, way, X0)
    assert torch.equal(first.x1, second.x1)
    assert np.array_equal(first.energies.kpe, second.energies.kpe)
