"""The streamed sums of Gaussians against every point written out in extended precision."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from kpe_core.points import mixture
from kpe_core.points.cloud import Cloud
from kpe_core.points.mixture import Posterior, posterior
from tests.kpe_core.brute import sums, velocity_error

DTYPES = [torch.float32, torch.float64]
PROMISED = {torch.float32: 1e-5, torch.float64: 1e-7}
"""Relative error of the velocity."""


def clustered(seed: int, n: int, d: int, copies: int, spread: float, offset: float, dtype: torch.dtype) -> Tensor:
    """Points in shuffled clusters of ``copies``, ‖spread‖ apart within each (0: the same point again), far from 0."""
    rng = np.random.default_rng(seed)
    points = np.repeat(rng.normal(size=(-(-n // copies), d)), copies, axis=0)[:n] + offset
    points += spread / np.sqrt(d) * rng.normal(size=points.shape)
    return torch.from_numpy(points[rng.permutation(n)]).to(dtype)


def on_the_bridge(seed: int, points: Tensor, gamma: float, sigma: float, rows: int = 8) -> Tensor:
    rng = np.random.default_rng(seed + 1000)
    chosen = points[rng.integers(len(points), size=rows)].double()
    return gamma * chosen + sigma * torch.from_numpy(rng.normal(size=(rows, points.shape[1])))


def agree(found: Posterior, x: Tensor, points: Tensor, gamma: float, sigma: float, dtype: torch.dtype) -> None:
    """To what is promised of the velocity; weights, entropy and log_sum to what that asks of the logits."""
    truth = sums(x, points, gamma, sigma)
    assert found.mean is not None
    assert velocity_error(found.mean, x, truth) <= PROMISED[dtype]
    tolerance = {torch.float32: 3e-5, torch.float64: 2e-7}[dtype]
    assert found.log_sum.numpy() == pytest.approx(truth.log_sum.astype(float), rel=1e-12, abs=tolerance)
    assert found.largest.numpy() == pytest.approx(truth.largest.astype(float), abs=tolerance)
    assert found.entropy.numpy() == pytest.approx(truth.entropy.astype(float), abs=tolerance)
    assert all(column.dtype == torch.float64 for column in found)


@given(
    n=st.integers(1, 130), d=st.integers(1, 80), copies=st.sampled_from([1, 2, 20, 100]), seed=st.integers(0, 999),
    log_sigma=st.floats(-5.6, -0.001), spread=st.sampled_from([0.0, 0.3, 1.0, 3.0]),
    offset=st.sampled_from([0.0, 1.0, 30.0]),
)  # fmt: skip
@settings(deadline=None, max_examples=120)
def test_float64_equals_brute_force(
    n: int, d: int, copies: int, seed: int, log_sigma: float, spread: float, offset: float
) -> None:
    """``spread`` in units of σ: from exact copies through ties to points well apart."""
    sigma = 10**log_sigma
    points = clustered(seed, n, d, copies, spread * sigma, offset, torch.float64)
    x = on_the_bridge(seed, points, 1 - sigma, sigma)
    # x itself is rounded, and 1/σ² passes that on.
    assume(offset * np.finfo(float).eps / sigma <= 1e-9)
    agree(posterior(x, Cloud(points, torch.float64), 1 - sigma, sigma), x, points, 1 - sigma, sigma, torch.float64)


@given(
    n=st.integers(1, 130), d=st.integers(33, 120), copies=st.sampled_from([1, 2, 20, 100]), seed=st.integers(0, 999),
    log_sigma=st.floats(-5.6, -0.001), spread=st.sampled_from([0.0, 0.3, 1.0, 3.0]),
    offset=st.sampled_from([0.0, 1.0, 30.0]),
)  # fmt: skip
@settings(deadline=None, max_examples=120)
def test_float32_equals_brute_force(
    n: int, d: int, copies: int, seed: int, log_sigma: float, spread: float, offset: float
) -> None:
    sigma = 10**log_sigma
    points = clustered(seed, n, d, copies, spread * sigma, offset, torch.float32)
    x = on_the_bridge(seed, points, 1 - sigma, sigma)
    agree(posterior(x, Cloud(points, torch.float32), 1 - sigma, sigma), x, points, 1 - sigma, sigma, torch.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [784, 3072])
@pytest.mark.parametrize("copies", [1, 2, 20, 100])
@pytest.mark.parametrize("sigma", [0.5, 0.03, 1e-3, 2.5e-6])
def test_images_with_copies(dtype: torch.dtype, d: int, copies: int, sigma: float) -> None:
    points = clustered(0, 200, d, copies, sigma, 1.0, dtype)
    x, cloud = on_the_bridge(0, points, 1 - sigma, sigma, rows=4), Cloud(points, dtype)
    agree(posterior(x, cloud, 1 - sigma, sigma), x, points, 1 - sigma, sigma, dtype)
    truth = sums(x, points, 1 - sigma, sigma).log_sum.astype(float)
    assert posterior(x, cloud, 1 - sigma, sigma, mean=False).log_sum.numpy() == pytest.approx(
        truth, rel=1e-12, abs=3e-5
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_at_the_centre_of_a_sphere_all_points_tie(dtype: torch.dtype) -> None:
    """There the product is nought and all rounding is in the points' norms."""
    points = clustered(0, 300, 64, 1, 0.0, 0.0, torch.float64)
    points = (8 * points / torch.linalg.vector_norm(points, dim=1, keepdim=True)).to(dtype)
    x = torch.cat([torch.zeros(1, 64, dtype=torch.float64), 1e-6 * on_the_bridge(0, points, 0.0, 1.0)])
    agree(posterior(x, Cloud(points, dtype), 1.0, 0.01), x, points, 1.0, 0.01, dtype)


@pytest.mark.parametrize("sigma", [0.7, 0.5, 0.1])
def test_float32_products_of_float64_points_lose_nothing_to_an_offset(sigma: float) -> None:
    points = clustered(0, 300, 64, 1, 0.0, 1e4, torch.float64)
    x = on_the_bridge(0, points, 1 - sigma, sigma)
    agree(posterior(x, Cloud(points, torch.float32), 1 - sigma, sigma), x, points, 1 - sigma, sigma, torch.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sigma", [1e-2, 1e-4])
def test_twins_in_blocks_far_apart_are_both_seen(dtype: torch.dtype, sigma: float) -> None:
    """Rounding lifts one twin thousands of nats above the other, whose block must not be passed over for that."""
    points = clustered(3, 9000, 64, 1, 0.0, 0.0, dtype)
    points[8999] = points[0] + (sigma * torch.randn(64, generator=torch.Generator().manual_seed(0)) / 8).to(dtype)
    x = on_the_bridge(3, points[[0]], 1 - sigma, sigma, rows=64)
    found = posterior(x, Cloud(points, dtype), 1 - sigma, sigma)
    assert (found.largest < 0.8).any(), "the twins should nearly tie"
    agree(found, x, points, 1 - sigma, sigma, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("far", [1e3, 1e8, 1e15])
def test_far_away_the_farthest_point_that_way_wins(dtype: torch.dtype, far: float) -> None:
    points = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = posterior(torch.tensor([[far, 0.0]], dtype=torch.float64), Cloud(points, dtype), 0.9, 0.1)
    assert found.mean is not None
    assert found.mean[0].tolist() == [1.0, 0.0]
    assert (found.largest.item(), found.entropy.item()) == (1.0, 0.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_point_of_a_cloud_is_itself_to_the_last_bit(dtype: torch.dtype) -> None:
    """Float32 sums are about the whole cloud's centre, whose rounding 1/σ would blow up."""
    points = clustered(0, 50, 100, 1, 0.0, 3.0, dtype)
    x, sigma = on_the_bridge(0, points[[7]], 0.9999, 1e-4), 1e-4
    found = posterior(x, Cloud(points, dtype).part(7, 8), 0.9999, sigma)
    assert found.mean is not None
    assert torch.equal(found.mean, points[[7]].double().expand(8, -1))
    assert torch.equal(found.largest, torch.ones(8, dtype=torch.float64))
    assert torch.equal(found.entropy, torch.zeros(8, dtype=torch.float64))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sigma", [0.6, 0.1, 1e-3])
def test_an_excluded_point_is_not_there(dtype: torch.dtype, sigma: float) -> None:
    points = clustered(5, 300, 40, 3, 0.5 * sigma, 0.0, dtype)
    own = torch.tensor([4, -1, 299, 0, -1, 17, 17, 150])
    x = (1 - sigma) * points[own].double() + sigma * torch.randn(8, 40, generator=torch.Generator().manual_seed(1))
    found = posterior(x, Cloud(points, dtype), 1 - sigma, sigma, exclude=own)
    truth = sums(x, points, 1 - sigma, sigma, exclude=own)
    assert found.mean is not None
    assert velocity_error(found.mean, x, truth) <= PROMISED[dtype]
    assert found.log_sum.numpy() == pytest.approx(truth.log_sum.astype(float), rel=1e-9, abs=3e-5)
    alone = posterior(x, Cloud(points, dtype), 1 - sigma, sigma, mean=False, exclude=own)
    assert alone.mean is None
    assert alone.log_sum.numpy() == pytest.approx(truth.log_sum.astype(float), rel=1e-9, abs=3e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sigma", [0.7, 0.2, 0.05, 1e-3])
def test_answer_does_not_depend_on_blocks_rows_or_what_is_passed_over(
    dtype: torch.dtype, sigma: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = clustered(1, 700, 48, 3, sigma, 0.0, dtype)
    x, cloud = on_the_bridge(1, points, 1 - sigma, sigma, rows=30), Cloud(points, dtype)
    ways = [posterior(x, cloud, 1 - sigma, sigma)]
    monkeypatch.setattr(mixture, "ROWS", 7)
    monkeypatch.setattr(mixture, "CACHE_BYTES", 1)  # 64 points a block
    monkeypatch.setattr(mixture, "DIFFERENCE_BYTES", 1)
    ways.append(posterior(x, cloud, 1 - sigma, sigma))
    add = mixture._Sums.add
    monkeypatch.setattr(
        mixture._Sums, "add", lambda self, logits, points, start, margin: add(self, logits, points, start, np.inf)
    )
    ways.append(posterior(x, cloud, 1 - sigma, sigma))
    for way in ways[1:]:
        assert way.mean is not None
        assert ways[0].mean is not None
        gap = torch.linalg.vector_norm(ways[0].mean - x, dim=1)
        assert bool((torch.linalg.vector_norm(way.mean - ways[0].mean, dim=1) <= PROMISED[dtype] * gap).all())
        for a, b in zip(way[:3], ways[0][:3], strict=True):
            assert a is not None
            assert torch.allclose(a, b, rtol=1e-9, atol=3e-5 if dtype == torch.float32 else 1e-9)  # type: ignore[arg-type]


MEASURE = """
import torch
from kpe_core.points.cloud import Cloud
from kpe_core.points.mixture import posterior

def status(key):
    return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith(key))

torch.set_num_threads(1)
noise = torch.Generator().manual_seed(0)
for n, copies in ((500, 1), (12_500, 1), (50_000, 1), (50_000, 100)):
    points = torch.randn(n // copies, 256, generator=noise).repeat(copies, 1)
    cloud = Cloud(points, torch.float32)
    for sigma, rows in ((0.5, 256), (0.001, 256 if copies == 1 else 20)):
        x = (1 - sigma) * points[:rows].double() + sigma * torch.randn(rows, 256, generator=noise)
        open("/proc/self/clear_refs", "w").write("5")
        before = status("VmRSS")
        posterior(x, cloud, 1 - sigma, sigma)
        print(n, status("VmHWM") - before)
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="peak memory is read from Linux's /proc")
def test_memory_is_one_block_whatever_the_number_of_points() -> None:
    """Above points of 51 MB, at most 64 MB (measured: 20), near-ties among a hundred copies included."""
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    answer = subprocess.run(
        [sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True, env=environment
    )
    peak = [(int(n), float(mib)) for n, mib in map(str.split, answer.stdout.splitlines())]
    assert len(peak) == 8
    assert max(mib for _, mib in peak) <= 64
    small, large = (max(mib for n, mib in peak[:6] if n == count) for count in (12_500, 50_000))
    assert large <= small + 8
