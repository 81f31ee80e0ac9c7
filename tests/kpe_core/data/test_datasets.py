"""A data set becomes a run's own: split, prepared, fingerprinted."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from kpe_core.data import images
from kpe_core.data.datasets import Prepared, load
from kpe_core.errors import UserError
from kpe_core.study.specs import DataSpec


def digits(**choices: Any) -> Prepared:
    """Digits, loaded afresh."""
    return load.__wrapped__(DataSpec.model_validate({"name": "digits", **choices}))


def rows(*parts: np.ndarray) -> list[bytes]:
    return sorted(row.tobytes() for part in parts for row in part)


def test_splits_are_disjoint_and_complete() -> None:
    raw, labels = images.digits()
    data = digits(prepare={"scaling": "raw"}, held_out=0.3)
    assert rows(data.train, data.held_out) == rows(raw.reshape(-1, 64)), "all of the digits are different"
    assert len(data.held_out) == round(0.3 * 1797)
    assert Counter([*data.train_labels.tolist(), *data.held_out_labels.tolist()]) == Counter(labels.tolist())
    label_of = {row.tobytes(): int(y) for row, y in zip(raw.reshape(-1, 64), labels, strict=True)}
    for x, y in ((data.train, data.train_labels), (data.held_out, data.held_out_labels)):
        assert [label_of[row.tobytes()] for row in x] == y.tolist(), "labels follow their images"


def test_every_prefix_of_the_train_split_is_balanced() -> None:
    """So that n_train = 64 holds six or seven of each digit."""
    labels = digits().train_labels
    rarest = Counter(labels.tolist()).most_common()[-1][1]
    counts = np.cumsum(np.eye(10, dtype=int)[labels], axis=0)[: 10 * rarest]
    assert np.ptp(counts, axis=1).max() <= 1
    assert not np.array_equal(labels, np.sort(labels))


def test_n_train_takes_the_first_and_moves_nothing_else() -> None:
    few, all_ = digits(n_train=64), digits()
    assert np.array_equal(few.points, all_.train[:64])
    assert np.array_equal(few.point_labels, all_.train_labels[:64])
    assert np.array_equal(few.held_out, all_.held_out)
    assert (all_.n_points, few.n_points) == (len(all_.train), 64)
    assert few.split_fingerprint == all_.split_fingerprint, "one classifier serves both"


def test_seed_moves_the_split() -> None:
    assert rows(digits(prepare={"scaling": "raw"}).held_out) != rows(
        digits(prepare={"scaling": "raw"}, seed=1).held_out
    )


def test_centered_looks_at_the_train_split_only() -> None:
    data = digits(held_out=0.5)
    assert data.train.mean(axis=0) == pytest.approx(np.zeros(64), abs=1e-6)
    assert data.train.std() == pytest.approx(1.0, rel=1e-5)
    assert np.abs(data.held_out.mean(axis=0)).max() > 0.01
    raw = digits(prepare={"scaling": "raw"}, held_out=0.5)
    back = data.affine.invert(data.held_out.reshape(-1, 8, 8))
    assert back.reshape(-1, 64) == pytest.approx(raw.held_out, abs=1e-4)


def test_pooling_comes_before_scaling() -> None:
    data = digits(prepare={"pool": 4, "scaling": "centered"})
    raw = digits(prepare={"scaling": "raw"})
    pooled = raw.train.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)
    expected = (pooled - pooled.mean(axis=0)) / (pooled - pooled.mean(axis=0)).std()
    assert (data.shape, data.dim) == ((4, 4), 16)
    assert data.train == pytest.approx(expected, abs=1e-5)


CHOICES: list[dict[str, Any]] = [
    {},
    {"seed": 1},
    {"held_out": 0.3},
    {"n_train": 64},
    {"n_train": 65},
    {"prepare": {"scale": 2.0}},
    {"prepare": {"pool": 4}},
    *({"prepare": {"scaling": scaling}} for scaling in ("raw", "unit", "symmetric")),
]


def test_fingerprint_knows_every_choice_and_nothing_else() -> None:
    prints = [digits(**choice).fingerprint for choice in CHOICES]
    assert len(set(prints)) == len(CHOICES)
    assert prints == [digits(**choice).fingerprint for choice in CHOICES]


def test_images_and_points_in_the_plane_know_what_they_are() -> None:
    image, plane = digits(), load(DataSpec(name="multiscale_clusters"))
    assert (image.is_image, image.shape, image.n_classes) == (True, (8, 8), 10)
    assert (plane.is_image, plane.shape, plane.dim, plane.n_classes) == (False, (2,), 2, 4)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "digits", "n_train": 2000}, r"n_train = 2000: the train split of 'digits' has 1438 points"),
        ({"name": "digits", "prepare": {"pool": 3}}, r"pool = 3 does not divide the side 8; allowed: \[2, 4, 8\]"),
        ({"name": "sandwich", "prepare": {"pool": 2}}, "pool is for images"),
        ({"name": "sandwich", "prepare": {"scaling": "unit"}}, "'unit' needs data with a declared range"),
        ({"name": "sandwich", "prepare": {"scaling": "symmetric"}}, "use 'centered' or 'raw'"),
    ],
)
def test_what_the_data_cannot_give_is_refused(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(DataSpec.model_validate(spec))


@pytest.mark.parametrize("held_out", [0.9999, 0.0001])
def test_an_empty_split_is_a_users_mistake(held_out: float) -> None:
    with pytest.raises(UserError, match="held_out"):
        load(DataSpec(name="digits", held_out=held_out))
