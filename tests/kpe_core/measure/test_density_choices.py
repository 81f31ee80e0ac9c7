"""Which densities may be asked of which data, and the truth in the coordinates the field sees."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from kpe_core.data import planar
from kpe_core.data.datasets import load
from kpe_core.errors import UserError
from kpe_core.stages.measure import density_of
from kpe_core.stages.requirements import require_possible
from kpe_core.study.runs import cells
from kpe_core.study.specs import DataSpec, DensitySpec, KdeDensity, KnnDensity, Study, TrueDensity


def ask(data: dict[str, object], density: DensitySpec, **measure: object) -> None:
    """As a study would, before anything runs."""
    measure |= {"densities": [density.model_dump()]}
    experiment = {"name": "one", "data": data, "fields": {"kind": "exact"}, "measure": measure}
    for cell in cells(Study.model_validate({"name": "s", "experiments": [experiment]})):
        require_possible(cell)


@pytest.mark.parametrize("name", planar.SETS)
def test_the_truth_of_prepared_points(name: str) -> None:
    """In the field's own coordinates: density times area is what it is in the raw ones."""
    data = DataSpec.model_validate({"name": name, "prepare": {"scale": 2.0}})
    ask(data.model_dump(), TrueDensity(estimator="truth"))
    prepared = load(data)
    density = density_of(data, TrueDensity(estimator="truth"))
    value = density.log_density(torch.from_numpy(prepared.points))
    raw = planar.true_log_density(name, prepared.affine.invert(prepared.points))
    assert (value.dtype, value.shape) == (torch.float64, (prepared.n_points,))
    assert value.numpy() == pytest.approx(raw - 2 * np.log(prepared.affine.factor), abs=1e-4)
    assert density.parameter == 0.0


def test_estimators_are_fitted_once_for_all_shards() -> None:
    data, spec = DataSpec(name="sandwich", n_train=50), KnnDensity(estimator="knn")
    assert density_of(data, spec) is density_of(data, spec)


def test_the_truth_is_known_of_the_2d_sets_only() -> None:
    with pytest.raises(UserError, match=r"one\.measure\.densities truth: the density behind 'digits' is not known"):
        ask({"name": "digits"}, TrueDensity(estimator="truth"))
    with pytest.raises(ValidationError, match="known in space `data` only"):
        TrueDensity(estimator="truth", space="pca")


@pytest.mark.parametrize(
    ("n", "way_out"), [(10, "10 training points in 64 dimensions"), (500, "coordinates are the same")]
)
def test_a_singular_covariance_is_refused_before_anything_runs(n: int, way_out: str) -> None:
    with pytest.raises(UserError, match=rf"one\.measure\.densities kde\(median_nn, full\): .*{way_out}.* use shrunk"):
        ask({"name": "digits", "n_train": n}, KdeDensity(estimator="kde", covariance="full"))
    ask({"name": "digits", "n_train": n}, KdeDensity(estimator="kde", covariance="shrunk"))


def test_a_covariance_is_refused_that_only_its_root_shows_to_be_singular() -> None:
    """Of two points Ledoit and Wolf shrink nothing."""
    way_out = r"one\.measure\.densities kde\(median_nn, shrunk\): .* singular.* use diagonal or isotropic"
    with pytest.raises(UserError, match=way_out):
        ask({"name": "sandwich", "n_train": 2}, KdeDensity(estimator="kde", covariance="shrunk"))


def test_features_are_fewer_than_points_for_a_full_covariance() -> None:
    density = KdeDensity(estimator="kde", covariance="full", space="classifier")
    spaces = [{"extractor": "classifier", "features": 32}]
    ask({"name": "digits", "n_train": 33}, density, spaces=spaces)
    with pytest.raises(UserError, match=r"32 training points have a singular covariance in the 32 features"):
        ask({"name": "digits", "n_train": 32}, density, spaces=spaces)


def test_leaving_one_out_takes_one_more_point() -> None:
    data: dict[str, object] = {"name": "sandwich", "n_train": 5}
    ask(data, KnnDensity(estimator="knn", k=5))
    with pytest.raises(UserError, match="6 neighbours are asked of 5 training points"):
        ask(data, KnnDensity(estimator="knn", k=5, leave_one_out=True))
