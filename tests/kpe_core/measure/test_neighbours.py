"""Nearest neighbours: exact, also for the near-copies on which memorization is decided."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from kpe_core.measure import neighbours
from kpe_core.measure.neighbours import nearest


@given(n=st.integers(1, 60), d=st.integers(1, 12), rows=st.integers(1, 9), seed=st.integers(0, 99), data=st.data())
@settings(deadline=None, max_examples=50)
def test_equals_brute_force(n: int, d: int, rows: int, seed: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n))
    rng = np.random.default_rng(seed)
    x, points = rng.normal(size=(rows, d)), rng.normal(size=(n, d))
    distance = np.sqrt(np.square(x[:, None] - points).sum(axis=2))
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    found = nearest(torch.from_numpy(x), torch.from_numpy(points), k)
    assert np.array_equal(found.index.numpy(), order)
    assert found.distance.numpy() == pytest.approx(np.take_along_axis(distance, order, axis=1), rel=1e-12)


def test_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    points, x = rng.normal(size=(2000, 64)).astype(np.float32) + 5, rng.normal(size=(100, 64)).astype(np.float32)
    distance, index = NearestNeighbors(n_neighbors=7, algorithm="brute").fit(points.astype(float)).kneighbors(x)
    found = nearest(torch.from_numpy(x), torch.from_numpy(points), 7)
    assert found.distance.dtype == torch.float64
    assert np.array_equal(found.index.numpy(), index)
    assert found.distance.numpy() == pytest.approx(distance, rel=1e-9)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_near_copies_keep_their_distance(offset: float) -> None:
    """‖x‖² − 2x·y + ‖y‖² would leave nothing of a distance a millionth of the norm (in float32, nor would cdist)."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(500, 784)) + offset
    step = rng.normal(size=(50, 784))
    step *= 1e-6 * np.linalg.norm(points[:50], axis=1, keepdims=True) / np.linalg.norm(step, axis=1, keepdims=True)
    x = points[:50] + step
    truth = np.linalg.norm((x - points[:50]).astype(np.longdouble), axis=1).astype(float)
    found = nearest(torch.from_numpy(x), torch.from_numpy(points), 2)
    assert found.index[:, 0].tolist() == list(range(50))
    assert found.distance[:, 0].numpy() == pytest.approx(truth, rel=1e-9)


def test_neighbours_far_from_the_origin_are_the_same() -> None:
    """Every sum here is exact in binary; without centring, ‖y‖² would swallow the differences between the points."""
    grid, shift, rng = 2.0**-20, 2.0**26, np.random.default_rng(0)
    x, points = (torch.from_numpy(np.round(rng.normal(size=(n, 3)) / grid) * grid) for n in (40, 700))
    here, there = nearest(x, points, 3), nearest(x + shift, points + shift, 3)
    assert torch.equal(there.index, here.index)
    assert torch.equal(there.distance, here.distance)


def test_exact_copies_are_at_distance_zero() -> None:
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(100, 50)).astype(np.float32))
    found = nearest(points, points, 1)
    assert found.index[:, 0].tolist() == list(range(100))
    assert found.distance.max() == 0.0


def test_ties_go_to_the_lower_index() -> None:
    corners = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    assert nearest(torch.zeros(1, 2), corners, 3).index.tolist() == [[0, 1, 2]]
    twice = torch.cat([corners, corners])
    assert nearest(corners, twice, 2).index.tolist() == [[0, 4], [1, 5], [2, 6], [3, 7]]


@pytest.mark.parametrize("bytes_", [1, 8 * 30 * 40, 2**40])
def test_answer_does_not_depend_on_the_block(bytes_: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    x, points = torch.from_numpy(rng.normal(size=(40, 6))), torch.from_numpy(rng.normal(size=(700, 6)))
    whole = nearest(x, points, 3)
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", bytes_)
    pieces = nearest(x, points, 3)
    assert torch.equal(pieces.index, whole.index)
    assert torch.equal(pieces.distance, whole.distance)


def test_too_few_points() -> None:
    with pytest.raises(ValueError, match="3 neighbours asked of 2 points"):
        nearest(torch.zeros(1, 2), torch.zeros(2, 2), 3)


def test_many_ties_go_to_the_lower_index() -> None:
    assert nearest(torch.zeros(1, 3), torch.ones(200, 3), 3).index.tolist() == [[0, 1, 2]]
