"""Nearest neighbours: exact, also for the near-copies on which memorization is decided."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from kpe_core.points import neighbours
from kpe_core.points.neighbours import Neighbours, Searchable, nearest

DTYPES = [torch.float32, torch.float64]


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).to(dtype)


def by_brute_force(x: Tensor, points: Tensor, k: int, exclude: Tensor | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Distances (in long double) and indices (ties to the lower), of the values the tensors hold."""
    wide, all_wide = (a.double().numpy().astype(np.longdouble) for a in (x, points))
    distance = np.stack([np.sqrt(np.square(row - all_wide).sum(axis=1)) for row in wide])
    if exclude is not None:
        seen = exclude >= 0
        distance[np.flatnonzero(seen), exclude[seen]] = np.inf
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distance, order, axis=1).astype(float), order


def agree(found: Neighbours, truth: tuple[np.ndarray, np.ndarray]) -> None:
    assert found.distance.dtype == torch.float64
    assert np.array_equal(found.index.numpy(), truth[1])
    assert found.distance.numpy() == pytest.approx(truth[0], rel=1e-12, abs=0)


@pytest.fixture
def nothing_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where a row is compared with every point, which is right and slow."""

    def refuse(self: object, row: int) -> None:
        raise AssertionError(f"row {row} was measured against every point")

    monkeypatch.setattr(neighbours._Search, "measure_all", refuse)


@given(
    n=st.integers(2, 60), d=st.integers(1, 50), rows=st.integers(1, 9), seed=st.integers(0, 99),
    dtype=st.sampled_from(DTYPES), offset=st.sampled_from([0.0, 3.0, 1e4]), data=st.data(),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_equals_brute_force(
    n: int, d: int, rows: int, seed: int, dtype: torch.dtype, offset: float, data: st.DataObject
) -> None:
    """At an offset of 10⁴ float32 points lie on a coarse grid, so that distances tie."""
    points, x = normal(seed, n, d, dtype=dtype) + offset, normal(seed + 100, rows, d, dtype=dtype) + offset
    exclude = (
        torch.from_numpy(np.random.default_rng(seed).integers(-1, n, size=rows)) if data.draw(st.booleans()) else None
    )
    k = data.draw(st.integers(1, n - (exclude is not None)))
    agree(nearest(x, points, k, exclude), by_brute_force(x, points, k, exclude))


def test_agrees_with_scikit_learn() -> None:
    points, x = normal(0, 2000, 64) + 5, normal(1, 100, 64)
    distance, index = NearestNeighbors(n_neighbors=7, algorithm="brute").fit(points.double()).kneighbors(x.double())
    found = nearest(x, points, 7)
    assert np.array_equal(found.index.numpy(), index)
    assert found.distance.numpy() == pytest.approx(distance, rel=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("away", [1e-2, 1e-4, 1e-6])
def test_near_copies_keep_their_distance(dtype: torch.dtype, offset: float, away: float) -> None:
    """‖x‖² − 2x·y + ‖y‖² would leave nothing of a distance a millionth of the norm (in float32, of a thousandth)."""
    points = normal(0, 300, 784, dtype=dtype) + offset
    step = normal(1, 40, 784, dtype=dtype)
    x = points[:40] + away * step
    found = nearest(x, points, 2)
    agree(found, by_brute_force(x, points, 2))
    assert found.index[:, 0].tolist() == list(range(40))


@pytest.mark.parametrize("dtype", DTYPES)
def test_clumps_of_near_copies_are_told_apart(dtype: torch.dtype) -> None:
    """More near-copies than there are spare candidates: what the product cannot order is searched again."""
    points = normal(0, 12, 100, dtype=dtype).repeat_interleave(30, 0)
    points += 1e-4 * normal(1, *points.shape, dtype=dtype)
    x = points[::30] + 1e-4 * normal(2, 12, 100, dtype=dtype)
    agree(nearest(x, points, 3), by_brute_force(x, points, 3))


@pytest.mark.usefixtures("nothing_one_by_one")
def test_neighbours_far_from_the_origin_are_the_same() -> None:
    """Every sum here is exact in binary; without centring, ‖y‖² would swallow the differences between the points."""
    grid, shift = 2.0**-20, 2.0**26
    x, points = (torch.round(normal(n, n, 3, dtype=torch.float64) / grid) * grid for n in (40, 700))
    here, there = nearest(x, points, 3), nearest(x + shift, points + shift, 3)
    assert torch.equal(there.index, here.index)
    assert torch.equal(there.distance, here.distance)


@given(seed=st.integers(0, 50), d=st.integers(2, 40), dtype=st.sampled_from(DTYPES))
@settings(deadline=None, max_examples=20)
def test_rotation_and_translation_move_nothing(seed: int, d: int, dtype: torch.dtype) -> None:
    points, x = normal(seed, 80, d, dtype=torch.float64), normal(seed + 1, 10, d, dtype=torch.float64)
    turn = torch.from_numpy(ortho_group.rvs(d, random_state=seed))
    moved = nearest((x @ turn + 2.0).to(dtype), (points @ turn + 2.0).to(dtype), 4)
    assert torch.allclose(
        moved.distance, nearest(x, points, 4).distance, rtol=4e-6 if dtype == torch.float32 else 1e-12
    )


def test_exact_copies_are_at_distance_zero() -> None:
    points = normal(0, 100, 50)
    found = nearest(points, points, 1)
    assert found.index[:, 0].tolist() == list(range(100))
    assert found.distance.max() == 0.0


def test_ties_go_to_the_lower_index() -> None:
    corners = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    assert nearest(torch.zeros(1, 2), corners, 3).index.tolist() == [[0, 1, 2]]
    twice = torch.cat([corners, corners])
    assert nearest(corners, twice, 2).index.tolist() == [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert nearest(torch.zeros(1, 3), torch.ones(200, 3), 3).index.tolist() == [[0, 1, 2]]


@pytest.mark.usefixtures("nothing_one_by_one")
@pytest.mark.parametrize("d", [3, 50])
def test_crowds_of_exact_copies(d: int) -> None:
    """Hundreds of copies (some of 0 and −0 mixed, which are equal) beside other points, for rows among them and others."""
    points = normal(0, 900, d)
    points[100:500] = points[7]
    points[500:700] = 0.0 * normal(2, 200, d)
    x = torch.cat([points[[7, 100, 350, 550, 650, 800]], normal(1, 3, d), 1e-3 + points[[7, 500]]])
    agree(nearest(x, points, 5), by_brute_force(x, points, 5))
    own = torch.tensor([7, 100, 350, 550, 650, 800, -1, -1, -1, 7, 500])
    agree(nearest(x, points, 5, own), by_brute_force(x, points, 5, own))


def test_a_row_equally_far_from_every_point() -> None:
    found = nearest(torch.zeros(3, 400), torch.eye(400), 3, torch.tensor([-1, 1, 300]))
    assert found.index.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2]]


@pytest.mark.parametrize("d", [6, 60])
@pytest.mark.parametrize("bytes_", [1, 3000, 2**40])
def test_answer_does_not_depend_on_blocks_and_rows(d: int, bytes_: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, points = normal(0, 20, d), normal(1, 200, d)
    points[40:60] = x
    points[60:80] = x[3]
    whole = nearest(x, points, 3)
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", bytes_)
    monkeypatch.setattr(neighbours, "CACHE_BYTES", bytes_)
    for rows in (20, 7, 1):
        parts = [nearest(part, points, 3) for part in x.split(rows)]
        assert torch.equal(torch.cat([p.index for p in parts]), whole.index)
        assert torch.equal(torch.cat([p.distance for p in parts]), whole.distance)


def test_products_told_to_be_coarse_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch may multiply in bfloat16, scores are as wrong as this."""
    x = normal(0, 100, 40)
    points = x.repeat(8, 1) + 0.02 * normal(1, 800, 40)
    truth = nearest(x, points, 3)
    exact = torch.addmm

    def coarse(bias: Tensor, a: Tensor, b: Tensor, alpha: float, out: Tensor) -> Tensor:
        if a.dtype == torch.float32:
            a, b = a.bfloat16().float(), b.bfloat16().float()
        return exact(bias, a, b, alpha=alpha, out=out)

    monkeypatch.setattr(torch, "addmm", coarse)
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    found = nearest(x, points, 3)
    assert torch.equal(found.index, truth.index)
    assert torch.equal(found.distance, truth.distance)


def test_numbers_too_large_for_float32_products() -> None:
    x, points = 1e25 * normal(0, 5, 40), 1e25 * normal(1, 50, 40)
    agree(nearest(x, points, 3), by_brute_force(x, points, 3))


def test_no_rows() -> None:
    found = nearest(torch.zeros(0, 4), torch.zeros(3, 4), 2)
    assert found.distance.shape == found.index.shape == (0, 2)


def test_too_few_points() -> None:
    with pytest.raises(ValueError, match="3 neighbours asked of 2 points"):
        nearest(torch.zeros(1, 2), torch.zeros(2, 2), 3)
    with pytest.raises(ValueError, match="2 neighbours asked of 1 points"):
        nearest(torch.zeros(1, 2), torch.zeros(2, 2), 2, torch.tensor([1]))


@pytest.mark.parametrize("d", [3, 50])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused(d: int, bad: float) -> None:
    points, x = normal(0, 20, d), normal(1, 4, d)
    for broken in (points, x):
        broken[2, 1] = bad
        with pytest.raises(ValueError, match="not finite"):
            nearest(x, points, 2)
        broken[2, 1] = 0.0


@pytest.mark.parametrize("shift", [0.0, 50.0])
def test_points_searched_again_give_the_same_bits(shift: float) -> None:
    draw = torch.Generator().manual_seed(7)
    points = torch.randn(300, 40, generator=draw) + shift
    points[100:200] = points[:100]  # ties, which go on to float64
    searchable = Searchable(points)
    for x in (points[:20] + 1e-6, torch.randn(5, 40, generator=draw) + shift):
        once, again = nearest(x, points, 3), nearest(x, searchable, 3)
        assert torch.equal(once.distance, again.distance)
        assert torch.equal(once.index, again.index)
