"""Gaps: nothing undefined may look like agreement."""

import numpy as np
import pandas as pd

from tasks.quality.gaps import never_nan, not_finite, relative_gap, share


def test_relative_gap() -> None:
    found, expected = [1.0, 1.01, 0.0, 1.0, np.nan, 1.0, np.inf], [1.0, 1.0, 0.0, 0.0, 1.0, np.nan, 1.0]
    np.testing.assert_allclose(relative_gap(found, expected), [0, 0.01, 0, np.inf, np.inf, np.inf, np.inf])


def test_share() -> None:
    np.testing.assert_array_equal(share([1, 0, 1, np.nan, -1], [2, 0, 0, 1, 2]), [0.5, 0, np.inf, np.inf, -0.5])


def test_never_nan_keeps_infinities() -> None:
    np.testing.assert_array_equal(never_nan([np.nan, -np.inf, np.inf, 1]), [np.inf, -np.inf, np.inf, 1])


def test_not_finite_names_the_columns() -> None:
    frame = pd.DataFrame({"a": [1.0, np.nan, np.inf], "b": [1, 2, None], "c": [np.nan] * 3})
    assert not_finite(frame, ["a", "b"]).tolist() == ["", "a", "a, b"]
