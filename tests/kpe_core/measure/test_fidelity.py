"""All fidelity metrics together: which there are, what their intervals say, and what they see."""

import numpy as np
import pytest

from kpe_core.measure.bootstrap import Resamples
from kpe_core.measure.fidelity import fidelity, fidelity_differences, fidelity_metrics
from kpe_core.measure.frechet import Features, frechet, frechet_influence, moments

ALL = ("frechet", "frechet_infinite", "kid", "precision", "recall", "density", "coverage")


def normal(seed: int, n: int = 200, f: int = 8) -> Features:
    return np.random.default_rng(seed).normal(size=(n, f)).astype(np.float32)


@pytest.mark.parametrize(
    ("n_real", "n_generated", "metrics"),
    [
        (200, 200, ALL),
        (200, 64, ALL),
        (200, 63, (ALL[0], *ALL[2:])),
        (200, 6, (ALL[0], *ALL[2:])),
        (200, 5, ()),
        (5, 9, ()),
    ],
)
def test_small_sets_have_fewer_metrics_and_never_a_wrong_one(
    n_real: int, n_generated: int, metrics: tuple[str, ...]
) -> None:
    assert fidelity_metrics(n_real, n_generated, 8) == metrics
    found = fidelity(normal(0, n_real), normal(1, n_generated), Resamples(n_generated, 100, 0))
    assert tuple(found) == metrics
    assert all(np.isfinite(interval.value) for interval in found.values())


def test_intervals_hold_their_values() -> None:
    found = fidelity(normal(0), 1.1 * normal(1), Resamples(200, 300, 0))
    assert [name for name, i in found.items() if np.isnan(i.low) or np.isnan(i.high)] == ["recall"]
    assert all(i.low < i.value < i.high for name, i in found.items() if name != "recall")


def test_frechet_interval_is_centred_on_the_plain_distance() -> None:
    real, generated = normal(0), 1.1 * normal(1)
    found = fidelity(real, generated, Resamples(200, 300, 0))["frechet"]
    assert found.value == pytest.approx(frechet(moments(real), moments(generated)), rel=1e-9)
    assert found.high - found.value == pytest.approx(found.value - found.low)


def test_a_worse_generator_is_worse_by_every_metric() -> None:
    real = normal(0)
    good, bad = (fidelity(real, x, Resamples(200, 100, 0)) for x in (normal(1), 0.5 * normal(1) + 1.5))
    assert all(bad[name].value > good[name].value for name in ("frechet", "frechet_infinite", "kid"))
    assert all(bad[name].value < good[name].value for name in ("precision", "recall", "density", "coverage"))


def test_is_the_same_every_time() -> None:
    once, again = (fidelity(normal(0), normal(1), Resamples(200, 100, 5)) for _ in range(2))
    assert str(once) == str(again)


def test_paired_differences_see_what_two_intervals_do_not() -> None:
    real, plain = normal(0), normal(1)
    shaped = plain * 1.05
    resamples = Resamples(200, 200, 0)
    a, b = fidelity(real, shaped, resamples), fidelity(real, plain, resamples)
    found = fidelity_differences(real, shaped, plain)
    assert list(found) == ["frechet", "kid"]
    for name, i in found.items():
        assert i.value == pytest.approx(a[name].value - b[name].value, abs=1e-9)
        assert i.high - i.low < 0.5 * (a[name].high - a[name].low)
    assert fidelity_differences(real, shaped[:4], plain[:4]) == {}


def test_frechet_intervals_are_the_bootstraps() -> None:
    """The influence of rows against resampling them, alone and paired."""
    real, plain = normal(0, 400, 5), 1.2 * normal(1, 600, 5) + 0.2
    shaped = 0.9 * plain + 0.1 * normal(2, 600, 5)
    of_real, rng = moments(real), np.random.default_rng(3)
    weights = rng.multinomial(600, np.full(600, 1 / 600), size=400).astype(np.float64)
    a = np.array([frechet(of_real, moments(shaped, w)) for w in weights])
    b = np.array([frechet(of_real, moments(plain, w)) for w in weights])
    alone = fidelity(real, shaped, Resamples(600, 100, 0))["frechet"]
    paired = fidelity_differences(real, shaped, plain)["frechet"]
    assert (alone.high - alone.low) / 2 / 1.96 == pytest.approx(a.std(), rel=0.15)
    assert (paired.high - paired.low) / 2 / 1.96 == pytest.approx((a - b).std(), rel=0.15)


def test_influence_is_the_derivative() -> None:
    real, x = moments(normal(0, 300, 4)), 1.3 * normal(1, 50, 4) + 0.3
    influence, step = frechet_influence(real, moments(x), x), 1e-5
    for i in (0, 7, 31):
        weights = np.ones(50)
        weights[i] += step
        f = x.astype(np.float64)
        mean = np.average(f, axis=0, weights=weights)
        # np.cov counts whole weights only; the influence is of the covariance, whose n/(n-1) it does not move
        covariance = (weights[:, None] * (f - mean)).T @ (f - mean) / weights.sum() * 50 / 49
        change = (frechet(real, (mean, covariance)) - frechet(real, moments(x))) / step * 50
        assert change == pytest.approx(influence[i], rel=0.05, abs=0.1)
