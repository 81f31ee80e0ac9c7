"""Which points are trained on and which are held out."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from kpe_core.data.source import HELD_OUT, TRAIN, UNUSED, Source
from kpe_core.data.split import in_turn, split
from kpe_core.errors import UserError
from kpe_core.study.specs import DataSpec

RNG = np.random.default_rng(0)
LABELS = np.sort(RNG.choice(5, size=400, p=[0.4, 0.3, 0.2, 0.09, 0.01]))
PART = RNG.choice([TRAIN, HELD_OUT, UNUSED], size=400, p=[0.7, 0.2, 0.1]).astype(np.int8)


def of(part: np.ndarray | None = PART, **choices: Any) -> tuple[np.ndarray, np.ndarray]:
    names = tuple("abcde")
    source = Source("points", (1,), LABELS, names, lambda i: i[:, None].astype(np.float32), part=part)
    return split(source, DataSpec.model_validate({"name": "mnist"} | choices))


def test_in_turn_is_brute_forces() -> None:
    index = RNG.permutation(400)[:250]
    waiting = {c: [i for i in index if LABELS[i] == c] for c in range(5)}
    expected = []
    while any(waiting.values()):
        expected += [waiting[c].pop(0) for c in range(5) if waiting[c]]
    assert in_turn(index, LABELS).tolist() == expected


def test_own_split_is_the_publishers() -> None:
    train, held_out = of(reference="all")
    assert sorted(train) == np.flatnonzero(PART == TRAIN).tolist()
    assert sorted(held_out) == np.flatnonzero(PART == HELD_OUT).tolist()
    assert not np.array_equal(train, np.sort(train))
    assert Counter(LABELS[train[:10]]) == dict.fromkeys(range(5), 2)
    assert not np.array_equal(of(seed=1)[0], train)


def test_random_split_parts_everything() -> None:
    train, held_out = of(split="random", held_out=0.25)
    assert sorted([*train, *held_out]) == list(range(400))
    assert len(held_out) == 100


def test_reference_cuts_both_parts_short_and_balanced() -> None:
    train, held_out = of(reference=20)
    assert np.array_equal(train, of(reference="all")[0][:20])
    assert len(held_out) == 20
    assert Counter(LABELS[held_out]).most_common(1)[0][1] <= 6
    assert len(of(reference=20, n_train=30)[0]) == 30


@pytest.mark.parametrize(
    ("part", "choices", "message"),
    [
        (PART, {"n_train": 399}, r"n_train = 399: the train split of 'mnist' has \d+ points"),
        (np.zeros_like(PART), {}, r"400 points to train on and 0 to test on.*split: random"),
        (np.ones_like(PART), {}, r"0 points to train on and 400"),
    ],
)
def test_parts_without_points_are_named(part: np.ndarray, choices: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        of(part, **choices)
