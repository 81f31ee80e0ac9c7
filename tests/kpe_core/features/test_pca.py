"""Principal components against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from kpe_core.data.datasets import Prepared
from kpe_core.features.pca import fit_pca, pca


@pytest.mark.parametrize("n", [1000, 40])  # more points than dimensions, and fewer
def test_scores_are_scikit_learns_up_to_sign(digits: Prepared, n: int) -> None:
    points = digits.train[:n]
    theirs = PCA(n_components=10, svd_solver="full").fit(points.astype(np.float64))
    extractor = pca(fit_pca(points, 10))
    ours = extractor.features(torch.from_numpy(digits.held_out)).numpy()
    expected = theirs.transform(digits.held_out.astype(np.float64))
    assert (extractor.dim, ours.dtype) == (10, np.float32)
    assert np.abs(ours) == pytest.approx(np.abs(expected), abs=1e-4)


def test_signs_do_not_depend_on_the_linear_algebra(digits: Prepared) -> None:
    axes = fit_pca(digits.train[:200], 5)["axes"].numpy()
    largest = axes[np.arange(5), np.abs(axes).argmax(axis=1)]
    assert (largest > 0).all()
    shuffled = fit_pca(digits.train[:200][::-1].copy(), 5)["axes"].numpy()
    assert shuffled == pytest.approx(axes, abs=1e-5)
