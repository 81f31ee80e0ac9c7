"""Fronts, layers, halves and hypervolumes against brute force."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpe_core.tuning.fronts import Pair, better_half, crowding, dominates, front, hypervolume, layers

# Few distinct values, so that ties and equal pairs come up.
Pairs = st.lists(st.tuples(st.integers(0, 6).map(float), st.integers(0, 6).map(float)), min_size=1, max_size=16)


@given(Pairs)
def test_the_front_is_what_nothing_dominates(pairs: list[Pair]) -> None:
    def beaten(a: Pair) -> bool:
        return any(all(x <= y for x, y in zip(b, a, strict=True)) and tuple(b) != tuple(a) for b in pairs)

    assert front(pairs) == [i for i, a in enumerate(pairs) if not beaten(a)]


@given(Pairs)
def test_layers_part_the_pairs_and_each_is_dominated_by_the_one_before(pairs: list[Pair]) -> None:
    found = layers(pairs)
    assert sorted(itertools.chain(*found)) == list(range(len(pairs)))
    for above, below in itertools.pairwise(found):
        assert all(any(dominates(pairs[i], pairs[j]) for i in above) for j in below)
        assert not any(dominates(pairs[j], pairs[i]) for i in above for j in below)


@given(Pairs)
def test_the_half_that_goes_on_is_never_behind_one_that_stays(pairs: list[Pair]) -> None:
    on = better_half(pairs)
    rank = {i: k for k, layer in enumerate(layers(pairs)) for i in layer}
    assert len(on) == math.ceil(len(pairs) / 2)
    assert on == sorted(set(on))
    stay = set(range(len(pairs))) - set(on)
    assert not any(dominates(pairs[i], pairs[j]) for i in stay for j in on)
    assert max(rank[i] for i in on) <= min((rank[i] for i in stay), default=len(pairs))
    # The front of all goes on whole where it fits.
    assert set(front(pairs)) <= set(on) or len(front(pairs)) > len(on)


@given(Pairs)
def test_hypervolume_is_the_area_that_is_dominated(pairs: list[Pair]) -> None:
    """Unit squares of a grid, counted: values are whole numbers."""
    squares = itertools.product(range(7), range(7))
    counted = sum(any(x >= a and y >= b for a, b in pairs) for x, y in squares)
    assert hypervolume(pairs, (7.0, 7.0)) == counted


def test_hypervolume_beyond_the_reference_is_nothing() -> None:
    assert hypervolume([(2.0, 0.0), (0.0, 2.0)], (1.0, 1.0)) == 0.0
    assert hypervolume([], (1.0, 1.0)) == 0.0


def test_crowding_by_hand() -> None:
    pairs = [(0.0, 4.0), (1.0, 2.0), (3.0, 1.0), (4.0, 0.0)]
    assert crowding(pairs) == [math.inf, pytest.approx(3 / 4 + 3 / 4), pytest.approx(3 / 4 + 2 / 4), math.inf]
    assert crowding([(1.0, 1.0)]) == [math.inf]


def test_of_a_layer_that_is_cut_the_ends_and_the_loneliest_stay() -> None:
    pairs = [(0.0, 10.0), (1.0, 9.0), (1.1, 8.9), (5.0, 5.0), (9.9, 0.1), (10.0, 0.0)]
    assert better_half(pairs) == [0, 3, 5]
    rng = np.random.default_rng(0)
    order = rng.permutation(len(pairs))
    shuffled = better_half([pairs[i] for i in order])
    assert sorted(order[shuffled].tolist()) == [0, 3, 5], "the order they come in does not matter"
