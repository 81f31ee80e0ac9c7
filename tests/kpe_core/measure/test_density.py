"""Log densities against the formulas in long double and in scipy, from the plane to 3072 dimensions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from torch import Tensor

from kpe_core.data import planar
from kpe_core.errors import UserError
from kpe_core.measure.density import estimator_name, fit, kde_log_density, knn_log_density
from kpe_core.points.cloud import Cloud
from kpe_core.study.specs import DensitySpec, KdeDensity, KnnDensity, TrueDensity

DIMS = [2, 64, 784, 3072]
ESTIMATORS: list[DensitySpec] = [
    KnnDensity(estimator="knn", k=3),
    *(
        KdeDensity(estimator="kde", bandwidth=rule, covariance=shape)
        for rule, shape in [("scott", "isotropic"), ("loo", "diagonal"), ("median_nn", "full"), ("silverman", "shrunk")]
    ),
]


def sets(d: int, n: int = 80, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(d)
    x, points = rng.normal(size=(12, d)), rng.normal(size=(n, d)) + 1.0
    return torch.from_numpy(x).to(dtype), torch.from_numpy(points).to(dtype)


def kde(x: Tensor, points: Tensor, h: float) -> np.ndarray:
    return kde_log_density(x, Cloud(points, torch.float64), h).numpy()


def longdouble_kde(x: Tensor, points: Tensor, h: float) -> np.ndarray:
    """log (1/N) Σ N(x; xᵢ, h² I), written down."""
    n, d = points.shape
    wide, all_wide = (a.double().numpy().astype(np.longdouble) for a in (x, points))
    kernels = np.stack([-np.square(row - all_wide).sum(axis=1) / (2 * np.longdouble(h) ** 2) for row in wide])
    top = kernels.max(axis=1)
    return (
        top + np.log(np.exp(kernels - top[:, None]).sum(axis=1)) - math.log(n)
        - d * np.log(np.longdouble(h) * np.sqrt(2 * np.longdouble(math.pi)))
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", DIMS)
@pytest.mark.parametrize("h", [0.02, 0.5, 5.0])
def test_kde_is_a_mean_of_gaussians(d: int, h: float, dtype: torch.dtype) -> None:
    """Also at training points and beside them, where one kernel tells nearly all."""
    x, points = sets(d, dtype=dtype)
    x = torch.cat([x, points[:2], points[2:4] + 1e-3])
    assert kde(x, points, h) == pytest.approx(longdouble_kde(x, points, h).astype(float), abs=1e-8, rel=1e-14)


@pytest.mark.parametrize("d", DIMS)
@pytest.mark.parametrize("k", [1, 5])
def test_knn_is_a_share_of_points_over_a_balls_volume(d: int, k: int) -> None:
    """p̂ = k / (N · volume of the ball reaching to the k-th nearest)."""
    x, points = sets(d)
    x = torch.cat([x, points[:3] + 1e-6])
    r = np.sort(np.sqrt(np.square(x.numpy()[:, None] - points.numpy()).sum(axis=2)), axis=1)[:, k - 1]
    log_volume = d / 2 * np.log(np.pi) - special.gammaln(d / 2 + 1) + d * np.log(r)
    assert knn_log_density(x, points, k).numpy() == pytest.approx(np.log(k / 80) - log_volume, abs=1e-8)


def test_knn_is_infinite_on_copies() -> None:
    """k training points at one place leave no ball; that is what the estimator says of them."""
    _, points = sets(3)
    points[:3] = points[0]
    value = knn_log_density(points[[0, 5]], points, 3)
    assert value[0] == torch.inf
    assert value[1].isfinite()


@pytest.mark.parametrize("d", DIMS)
def test_far_out_is_low_but_never_minus_infinity(d: int) -> None:
    """10⁶ bandwidths away the kernels are e^(−10¹²/2), and their logarithm an ordinary number."""
    _, points = sets(d)
    x = torch.stack([torch.full((d,), far, dtype=torch.float64) for far in (1e2, 1e4, 1e6)])
    for spec in (KnnDensity(estimator="knn"), KdeDensity(estimator="kde", bandwidth=0.05)):
        values = fit(points, spec).log_density(x)
        assert values.isfinite().all()
        assert values[0] > values[1] > values[2]
    truth = longdouble_kde(x, points, 0.05).astype(float)
    assert kde(x, points, 0.05) == pytest.approx(truth, rel=1e-14)


def test_scott_is_scipys_rule_for_isotropic_points() -> None:
    """scipy's kernel is the points' covariance times factor²; where that is a multiple of I, the two agree."""
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(300, 3))
    white = (raw - raw.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(raw.T)).T) * 2.5 + 4.0
    x = rng.normal(size=(20, 3)) + 4
    fitted = fit(torch.from_numpy(white), KdeDensity(estimator="kde", bandwidth="scott"))
    scipys = stats.gaussian_kde(white.T, bw_method="scott")
    assert fitted.parameter == pytest.approx(2.5 * scipys.factor)
    assert fitted.log_density(torch.from_numpy(x)).numpy() == pytest.approx(scipys.logpdf(x.T), rel=1e-9)


@pytest.mark.parametrize("rule", ["scott", "silverman", 0.7])
@pytest.mark.parametrize("d", [2, 6])
def test_full_covariance_is_scipys_gaussian_kde(rule: str | float, d: int) -> None:
    rng = np.random.default_rng(d)
    points = rng.normal(size=(200, d)) @ rng.normal(size=(d, d)) + 3.0
    x = rng.normal(size=(20, d)) + 3.0
    fitted = fit(torch.from_numpy(points), KdeDensity(estimator="kde", bandwidth=rule, covariance="full"))
    scipys = stats.gaussian_kde(points.T, bw_method=rule)
    assert fitted.parameter == pytest.approx(scipys.factor)
    assert fitted.log_density(torch.from_numpy(x)).numpy() == pytest.approx(scipys.logpdf(x.T), rel=1e-9)


@pytest.mark.parametrize("spec", ESTIMATORS, ids=estimator_name)
@given(seed=st.integers(0, 20), scale=st.sampled_from([1e-3, 0.5, 40.0]))
@settings(deadline=None, max_examples=8)
def test_scaling_by_a_lowers_the_log_density_by_d_log_a(spec: DensitySpec, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    points, x = torch.from_numpy(rng.normal(size=(60, 3))), torch.from_numpy(rng.normal(size=(5, 3)))
    here = fit(points, spec).log_density(x)
    there = fit(scale * points - 2.0, spec).log_density(scale * x - 2.0)
    searched = isinstance(spec, KdeDensity) and spec.bandwidth == "loo"
    assert there.numpy() == pytest.approx((here - 3 * math.log(scale)).numpy(), abs=1e-3 if searched else 1e-6)


@pytest.mark.parametrize("spec", ESTIMATORS, ids=estimator_name)
def test_rotations_change_nothing_but_the_axes_own_kernels(spec: DensitySpec) -> None:
    x, points = sets(4)
    points = points * torch.tensor([1.0, 2.0, 3.0, 4.0])
    turn = torch.from_numpy(stats.ortho_group.rvs(4, random_state=0))
    here, there = fit(points, spec).log_density(x), fit(points @ turn + 1, spec).log_density(x @ turn + 1)
    by_axes = isinstance(spec, KdeDensity) and spec.covariance == "diagonal"
    assert torch.allclose(here, there, atol=1e-5) == (not by_axes)


@pytest.mark.parametrize("spec", ESTIMATORS, ids=estimator_name)
def test_left_out_points_are_not_seen(spec: DensitySpec) -> None:
    """At a training point, and a rounding beside it, the others' density; elsewhere nothing changes."""
    x, points = sets(3, n=40)
    fitted = fit(points, spec)
    left = fit(points, spec.model_copy(update={"leave_one_out": True}))
    assert left.parameter == fitted.parameter
    assert torch.equal(left.log_density(x), fitted.log_density(x))
    others = torch.cat([points[:7], points[8:]])
    for here in (points[7:8], points[7:8] + 1e-8):
        if isinstance(spec, KnnDensity):
            expected = knn_log_density(here, others, spec.k)
        elif spec.covariance == "isotropic":
            expected = kde_log_density(here, Cloud(others, torch.float64), left.parameter)
        else:  # a kernel taken away, whatever its shape: N p = Σ K, K(0) the kernel's own peak
            peak = fitted.log_density(points + 1e-7)[7].exp() * 40 - left.log_density(here).exp() * 39
            kernels = [fit(points, spec).log_density(here).exp() * 40 - peak]
            expected = torch.stack(kernels)[0].log() - math.log(39)
        assert left.log_density(here).numpy() == pytest.approx(expected.numpy(), abs=1e-4)


def test_left_out_the_exact_fields_samples_stop_being_peaks() -> None:
    """Samples that are training points: seen, each sits on its own kernel; left out, they are like fresh points."""
    rng = np.random.default_rng(0)
    points, fresh = (torch.from_numpy(rng.normal(size=(400, 2))) for _ in range(2))
    spec = KdeDensity(estimator="kde", bandwidth=0.1)
    seen = fit(points, spec).log_density(points).median()
    left = fit(points, spec.model_copy(update={"leave_one_out": True})).log_density(points).median()
    assert left == pytest.approx(float(fit(points, spec).log_density(fresh).median()), abs=0.15)
    assert seen > left + 0.3


@pytest.mark.parametrize("name", planar.SETS)
def test_estimates_approach_the_truth(name: str) -> None:
    """Over the density's own samples, as N grows, k-NN with k = N^(2/3)/4, the KDE with its most likely width."""
    x = planar.draw(name, seed=1, n=600)[0]
    truth = planar.true_log_density(name, x)
    error: dict[str, list[float]] = {"knn": [], "kde": []}
    rank: dict[str, list[float]] = {"knn": [], "kde": []}
    for n in (200, 800, 4000):
        points = torch.from_numpy(planar.draw(name, seed=0, n=n)[0])
        for spec in (
            KnnDensity(estimator="knn", k=round(n ** (2 / 3) / 4)),
            KdeDensity(estimator="kde", bandwidth="loo"),
        ):
            value = fit(points, spec).log_density(torch.from_numpy(x)).numpy()
            error[spec.estimator].append(np.abs(value - truth).mean())
            rank[spec.estimator].append(stats.spearmanr(value, truth).statistic)
    for estimator in error:
        assert error[estimator] == sorted(error[estimator], reverse=True)
        assert rank[estimator] == sorted(rank[estimator])
        assert error[estimator][-1] < 0.35
        assert rank[estimator][-1] > 0.95


def test_the_truth_is_what_it_is_given() -> None:
    x, points = sets(2)
    fitted = fit(points, TrueDensity(estimator="truth"), truth=lambda at: -at.sum(dim=1))
    assert torch.equal(fitted.log_density(x), -x.sum(dim=1))
    assert fitted.parameter == 0.0
    with pytest.raises(UserError, match="for the 2-D sets only"):
        fit(points, TrueDensity(estimator="truth"))


def test_parameter_and_name_tell_the_choice() -> None:
    _, points = sets(2)
    assert fit(points, KnnDensity(estimator="knn", k=7)).parameter == 7.0
    assert fit(points, KdeDensity(estimator="kde", bandwidth=0.5, covariance="full")).parameter == 0.5
    names = {
        "knn(k=7)": KnnDensity(estimator="knn", k=7),
        "knn(k=5, loo)": KnnDensity(estimator="knn", leave_one_out=True),
        "kde(scott)": KdeDensity(estimator="kde", bandwidth="scott"),
        "kde(0.5)": KdeDensity(estimator="kde", bandwidth=0.5),
        "kde(scott, full)": KdeDensity(estimator="kde", bandwidth="scott", covariance="full"),
        "kde(median_nn, loo)": KdeDensity(estimator="kde", leave_one_out=True),
        "kde(loo, shrunk, loo)": KdeDensity(estimator="kde", bandwidth="loo", covariance="shrunk", leave_one_out=True),
        "truth": TrueDensity(estimator="truth"),
    }
    assert {name: estimator_name(spec) for name, spec in names.items()} == {name: name for name in names}
