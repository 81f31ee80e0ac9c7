"""Preparation: pooling, scaling, and the way back."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpe_core.data.prepare import Affine, pool_mean, pooled_shape
from kpe_core.errors import UserError
from kpe_core.study.specs import PrepareSpec

RAW = np.random.default_rng(0).uniform(0, 16, size=(50, 4, 4)).astype(np.float32)
SCALINGS = ["raw", "unit", "symmetric", "centered"]


def fit(**choices: Any) -> Affine:
    return Affine.fit([RAW], PrepareSpec(**choices), bounds=(0.0, 16.0))


@pytest.mark.parametrize("scaling", SCALINGS)
@given(scale=st.floats(0.1, 10))
@settings(deadline=None, max_examples=15)
def test_invert_undoes_apply(scaling: str, scale: float) -> None:
    affine = fit(scaling=scaling, scale=scale)
    assert affine.apply(RAW).dtype == np.float32
    assert affine.invert(affine.apply(RAW)) == pytest.approx(RAW, abs=1e-4)


@pytest.mark.parametrize(
    ("scaling", "low", "middle", "high"),
    [("raw", 0.0, 8.0, 16.0), ("unit", 0.0, 0.5, 1.0), ("symmetric", -1.0, 0.0, 1.0)],
)
def test_declared_range_goes_where_its_name_says(scaling: str, low: float, middle: float, high: float) -> None:
    """Of the declared range, not the data's own: a batch that happens to lack white is not stretched."""
    levels = np.array([0.0, 8.0, 16.0])
    assert fit(scaling=scaling).apply(levels).tolist() == [low, middle, high]
    assert fit(scaling=scaling, scale=3.0).apply(levels).tolist() == [3 * low, 3 * middle, 3 * high]


def test_centered_removes_each_coordinates_mean_and_divides_by_one_std() -> None:
    raw = RAW * np.linspace(0.5, 2, 4, dtype=np.float32)  # columns of unequal spread
    affine = Affine.fit([raw], PrepareSpec(scaling="centered", scale=2.0), bounds=None)
    x = affine.apply(raw).astype(np.float64)
    assert x.mean(axis=0) == pytest.approx(np.zeros((4, 4)), abs=1e-6)
    assert x.std() == pytest.approx(2.0, rel=1e-6)
    spread, raw_spread = x.std(axis=0), raw.std(axis=0)
    assert spread / raw_spread == pytest.approx(np.full((4, 4), affine.factor), rel=1e-5), "one factor for all"


@pytest.mark.parametrize("scaling", ["unit", "symmetric"])
def test_bounded_scalings_need_a_declared_range(scaling: str) -> None:
    with pytest.raises(UserError, match=rf"{scaling}.*use 'centered' or 'raw'"):
        Affine.fit([RAW], PrepareSpec.model_validate({"scaling": scaling}), bounds=None)


def test_pooling_is_the_mean_of_each_square() -> None:
    image = np.array([[[1, 3, 0, 0], [5, 7, 0, 4], [2, 2, 9, 9], [2, 2, 9, 9]]], dtype=np.float32)
    assert pool_mean(image, 2).tolist() == [[[4.0, 1.0], [2.0, 9.0]]]
    assert np.array_equal(pool_mean(image, 4), image)


@pytest.mark.parametrize("side", [3, 5, 8])
def test_pooling_must_divide_the_side(side: int) -> None:
    with pytest.raises(UserError, match=rf"pool = {side} does not divide the side 4; allowed: \[2, 4\]"):
        pooled_shape((4, 4), side)


def test_points_in_the_plane_cannot_be_pooled() -> None:
    with pytest.raises(UserError, match="pool is for images"):
        pooled_shape((2,), 2)
