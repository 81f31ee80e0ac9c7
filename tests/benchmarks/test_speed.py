"""`make bench`, section speed: ratios inside one process, alternating, medians. Prints a table; asserts only the absurd.

Every row names the machine's own limit, measured in the same minute, or the tool a user would otherwise take.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from kpe_core.fields.efm import ExactField
from kpe_core.fields.mlp import VelocityMLP
from kpe_core.fields.network import NetworkVelocity
from kpe_core.fields.unet import VelocityUNet
from kpe_core.measure.density import kde_log_density
from kpe_core.points.cloud import Cloud
from kpe_core.points.neighbours import Searchable, nearest
from kpe_core.sampling.path import follow
from kpe_core.sampling.sampler import Course
from tests.benchmarks.bench import heading, median_ratio, medians, peak_megabytes, row

N, D, B = 50_000, 3072, 256


@pytest.fixture(scope="module")
def points() -> Tensor:
    return torch.randn(N, D, generator=torch.Generator().manual_seed(0))


def bridge_states(points: Tensor, t: float, rows: int = B) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    x1 = points[torch.randint(len(points), (rows,), generator=draw)]
    return (t * x1 + (1 - t) * torch.randn(x1.shape, generator=draw)).double()


def test_exact_field(points: Tensor) -> None:
    """4·B·N·D operations a call, against the rate of the bare float32 product of the same matrices."""
    heading(f"exact field, N = {N:,}, D = {D}, batch {B}, float32, one core")
    field = ExactField(points, dtype=torch.float32)
    left = torch.randn(B, D)
    times = (0.05, 0.5, 0.9)
    states = {t: bridge_states(points, t) for t in times}

    def naive() -> Tensor:
        x = states[0.5].float()
        weights = torch.softmax(-torch.cdist(x, 0.5 * points).square() / (2 * 0.25), dim=1)
        return (weights @ points - x) / 0.5

    calls = [lambda t=t: field.evaluate(states[t], t) for t in times]
    bare, peer, *ours = medians(lambda: left @ points.T, naive, *calls, rounds=3)
    rate = 2 * B * N * D / bare
    row("the machine: float32 product, GFLOP/s", f"{rate / 1e9:.0f}")
    for t, seconds in zip(times, ours, strict=True):
        note = "every weight counts" if t == times[0] else "most points passed over"
        row(
            f"rate at 4·B·N·D operations, of the product's, t = {t}",
            f"{4 * B * N * D / seconds / rate:.0%}",
            "≥ 75 %",
            note,
        )
        row("  … times faster than cdist + softmax + product", f"{peer / seconds:.2f}")
        assert 4 * B * N * D / seconds > 0.3 * rate
    setup = f"""
from kpe_core.fields.efm import ExactField
points = torch.randn({N}, {D})
field = ExactField(points, dtype=torch.float32)
x = torch.randn({B}, {D}, dtype=torch.float64)
x1 = points[:{B}].double()
def warm():  # the libraries' own code counts as memory once it has run
    small = ExactField(torch.randn(2000, 100), dtype=torch.float32)
    small.evaluate(torch.randn(300, 100, dtype=torch.float64), 0.5)
warm()
"""
    for t in times:
        grown = peak_megabytes(f"{setup}state = {t} * x1 + (1 - {t}) * x", f"field.evaluate(state, {t})")
        row(f"memory above the inputs, MB, t = {t}", f"{grown:.0f}", "≤ 64")
    assert grown < 200


def test_nearest_two(points: Tensor) -> None:
    """Against the bare product + top-k, faiss and scikit-learn, all on one core."""
    import faiss
    from sklearn.neighbors import NearestNeighbors
    from threadpoolctl import threadpool_limits

    faiss.omp_set_num_threads(1)
    heading(f"nearest two of {N:,}, D = {D}, {B} rows, float32, one core")
    x = bridge_states(points, 0.9).float()
    copy = points[:B] + 1e-6 * torch.randn(B, D)
    index = faiss.IndexFlatL2(D)
    index.add(points.numpy())
    searchable = Searchable(points)
    with threadpool_limits(1):
        brute = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(points.numpy())
        ours, bare, theirs, sklearn = medians(
            lambda: nearest(x, searchable, 2),
            lambda: (x @ points.T).topk(2, dim=1),
            lambda: index.search(x.numpy(), 2),
            lambda: brute.kneighbors(x.numpy()),
            rounds=3,
        )
    row("times the bare product + top-k", f"{ours / bare:.2f}", "≤ 1.15")
    row("times faster than faiss IndexFlatL2", f"{theirs / ours:.2f}", "≥ 1")
    row("times faster than scikit-learn, brute", f"{sklearn / ours:.2f}", "≥ 1")
    truth = torch.linalg.vector_norm(copy.double() - points[:B].double(), dim=1).numpy()
    found = nearest(copy, points, 2).distance[:, 0].numpy()
    said = np.sqrt(np.maximum(index.search(copy.numpy(), 1)[0][:, 0], 0).astype(np.float64))
    row(
        "near-copies at 1e-6 of the scale: relative error of d₁, ours",
        f"{np.abs(found / truth - 1).max():.0e}",
        "≤ 1e-6",
    )
    row("  … of faiss", f"{np.abs(said / truth - 1).max():.0e}")
    assert ours < 3 * bare


def test_kernel_density() -> None:
    """2000 × 50,000 in 64 dimensions, float64, against scikit-learn's KernelDensity and the bare product + exp."""
    from sklearn.neighbors import KernelDensity

    heading("kernel density, 2000 × 50,000, D = 64, one core")
    draw = torch.Generator().manual_seed(0)
    x, points = torch.randn(2000, 64, generator=draw), torch.randn(N, 64, generator=draw)
    wide, all_wide, cloud, h = x.double(), points.double(), Cloud(points, torch.float64), 0.5
    few = 50
    tree = KernelDensity(bandwidth=h).fit(points.numpy())
    ours, bare, blocked, sklearn = medians(
        lambda: kde_log_density(x, cloud, h),
        lambda: torch.exp(wide @ all_wide.T),
        lambda: [torch.exp(part @ y.T) for part in wide.split(256) for y in all_wide.split(1024)],
        lambda: tree.score_samples(x[:few].numpy()),
        rounds=3,
    )
    row("times the bare product + exp of the whole matrix", f"{ours / bare:.2f}", "≤ 2")
    row("times the bare product + exp, block by block in cache", f"{ours / blocked:.2f}", "≤ 2")
    row("times faster than scikit-learn's KernelDensity", f"{sklearn * len(x) / few / ours:.0f}", "≥ 30")
    truth = brute_kde(wide[:few].numpy(), all_wide.numpy(), h)
    row("error, nats: ours", f"{np.abs(kde_log_density(x[:few], cloud, h).numpy() - truth).max():.0e}", "≤ 1e-4")
    row("  … scikit-learn's", f"{np.abs(tree.score_samples(x[:few].numpy()) - truth).max():.0e}")
    assert ours < 6 * bare


def brute_kde(x: np.ndarray, points: np.ndarray, h: float) -> np.ndarray:
    d = points.shape[1]
    logits = np.stack([-np.square(r - points).sum(axis=1) / (2 * h * h) for r in x])
    top = logits.max(axis=1)
    total = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return total - np.log(len(points)) - d * np.log(h) - d / 2 * np.log(2 * np.pi)


def test_network_in_the_plane() -> None:
    """A small MLP, 10,000 samples × 150 Euler steps, every state and energy recorded."""
    from torchdiffeq import odeint

    heading("MLP (width 64, depth 2) in the plane, 10,000 × 150 Euler steps, all states and energies, one core")
    network = VelocityMLP(2, 4, 64, 2).eval()
    field = NetworkVelocity(network)
    times = np.arange(151) / 150
    x0, label = torch.randn(10_000, 2, dtype=torch.float64), torch.arange(10_000) % 4
    grid = torch.from_numpy(times).float()
    states = np.empty((10_000, 151, 2), dtype=np.float32)

    def record() -> None:
        follow(field, x0, label, Course(times), 0.6, keep=lambda i, x: states.__setitem__((slice(None), i), x.numpy()))

    @torch.inference_mode()
    def peer() -> Tensor:
        return odeint(lambda t, x: network(x, t.expand(len(x)), label), x0.float(), grid, method="euler")

    def alone(samples: int = 10) -> None:
        for i in range(samples):
            follow(field, x0[i : i + 1], label[i : i + 1], Course(times), 0.6)

    ours, theirs, single = medians(record, peer, alone, rounds=3)
    row("samples per second", f"{10_000 / ours:,.0f}")
    row("times faster than torchdiffeq's Euler (states only)", f"{theirs / ours:.2f}", "≥ 1.5")
    row("times faster than one trajectory at a time", f"{single * 1000 / ours:.0f}", "≥ 50")
    assert theirs > 0.5 * ours


def test_recording_a_unet(tmp_path: Path) -> None:
    """A shard of 32×32 colour trajectories streamed to Zarr with checksums, against the bare Euler loop."""
    heading("U-Net 32×32, two batches of 16 samples × 100 steps, one core for the network")
    from tests.benchmarks.recording import recorder

    network = VelocityUNet((3, 32, 32), 1, 32, (1, 2, 2), null_label=True)
    field, no_class = NetworkVelocity(network), torch.ones(16, dtype=torch.int64)
    times = np.arange(101) / 100
    x0 = torch.randn(16, D)
    fresh = iter(
        [recorder(tmp_path / str(i), 32, 100, batch=16) for i in range(4)]
    )  # laid out once a run, not once a batch

    def record() -> None:
        r = next(fresh)
        r.record(field, 0, 16, None, (D,))
        r.record(field, 16, 32, None, (D,))
        r.digests()

    @torch.inference_mode()
    def bare() -> None:
        for x in (x0, x0):
            for t, dt in zip(times[:-1].tolist(), np.diff(times).tolist(), strict=True):
                x = x + dt * network.at_time(x, t, no_class)

    ratio = median_ratio(record, bare, rounds=3)
    row("recording everything, over the bare loop", f"{ratio - 1:+.1%}", "≤ +3 %", "101 evaluations against 100")
    assert ratio < 1.5


def test_memory_of_a_large_run(tmp_path: Path) -> None:
    """2000 × 151 × 3072 states, 3.7 GB, streamed to disk."""
    heading("memory of a run of 2000 × 151 × 3072")
    setup = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})  # some package of others is called tests too
from pathlib import Path
from kpe_core.fields.base import Evaluation
from benchmarks.recording import recorder
class Straight:
    singular_at_one, evaluations = False, 1
    def evaluate(self, x, t, label):
        return Evaluation(-x)
r = recorder(Path({str(tmp_path)!r}), 2000, 150)
"""
    work = f"""
for start in range(0, 2000, 125):
    r.record(Straight(), start, start + 125, None, ({D},))
"""
    grown = peak_megabytes(setup, work)
    row("above the model, MB", f"{grown:.0f}", "≤ 400")
    assert grown < 800
