"""All fidelity metrics together: which there are, what their intervals say, and what they see."""

import numpy as np
import pytest

from kpe_core.measure.bootstrap import Resamples
from kpe_core.measure.fidelity import fidelity, fidelity_differences, fidelity_metrics
from kpe_core.measure.frechet import Features, frechet, moments

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
    found = fidelity_differences(real, shaped, plain, resamples)
    assert list(found) == ["frechet", "kid"]
    for name, i in found.items():
        assert i.value == pytest.approx(a[name].value - b[name].value, abs=1e-9)
        assert i.high - i.low < 0.5 * (a[name].high - a[name].low)
    assert fidelity_differences(real, shaped[:4], plain[:4], Resamples(4, 100, 0)) == {}
