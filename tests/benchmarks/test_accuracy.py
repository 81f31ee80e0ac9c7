"""`make bench`, section accuracy: every quantity against a closed form, SciPy, or brute force in 80-bit floats.

Prints the worst error seen over all cases named; asserts the targets.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad, solve_ivp
from torch import Tensor

from kpe_core.fields.base import Evaluation
from kpe_core.fields.bridges import COSINE, LINEAR, Bridge
from kpe_core.fields.efm import ExactField
from kpe_core.measure.density import kde_log_density, knn_log_density
from kpe_core.measure.frechet import frechet
from kpe_core.measure.statistics import mann_whitney, spearman
from kpe_core.points.cloud import Cloud
from kpe_core.points.neighbours import nearest
from kpe_core.sampling.grids import time_grid
from kpe_core.sampling.path import follow
from kpe_core.sampling.sampler import Course
from tests.benchmarks.bench import heading, row

LONG = np.longdouble
SIZES = {2: 2000, 64: 1000, 784: 400, 3072: 200}
"""Training points by dimension: as many as 80-bit brute force takes in seconds."""


def duplicated(dim: int, t: float, bridge: Bridge, rows: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Points of which a quarter have a near-duplicate as far away as makes them tie at ``t``, and states on the bridge,
    two in three from such a pair."""
    rng, n, at = np.random.default_rng(dim), SIZES[dim], bridge.at(t)
    points = rng.normal(size=(n, dim)).astype(np.float32)
    pairs = n // 4
    apart = rng.uniform(0, 3, size=(pairs, 1)) * at.sigma / max(at.gamma, 0.1) / math.sqrt(dim)
    points[n // 2 : n // 2 + pairs] = points[:pairs] + (apart * rng.normal(size=(pairs, dim))).astype(np.float32)
    source = np.where(np.arange(rows) % 3 < 2, rng.integers(pairs, size=rows), rng.integers(n, size=rows))
    return points, at.gamma * points[source].astype(np.float64) + at.sigma * rng.normal(size=(rows, dim))


def brute_field(x: np.ndarray, points: np.ndarray, gamma: float, sigma: float) -> dict[str, np.ndarray]:
    x, points, gamma, sigma = x.astype(LONG), points.astype(LONG), LONG(gamma), LONG(sigma)
    logits = np.stack([-np.square(r - gamma * points).sum(axis=1) / (2 * sigma**2) for r in x])
    top = logits.max(axis=1, keepdims=True)
    total = np.exp(logits - top).sum(axis=1, keepdims=True)
    log_w = logits - top - np.log(total)
    w, d = np.exp(log_w), x.shape[1]
    constant = np.log(LONG(len(points))) + d * np.log(sigma) + d * np.log(2 * LONG(np.pi)) / 2
    return {
        "velocity": (w @ points - x) / sigma,
        "score": (gamma * (w @ points) - x) / sigma**2,
        "posterior_max": w.max(axis=1),
        "posterior_entropy": -np.where(w > 0, w * np.where(w > 0, log_w, 0), 0).sum(axis=1),
        "log_density": (top + np.log(total))[:, 0] - constant,
    }


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_exact_field(dtype: torch.dtype) -> None:
    """All times of a cosine grid's end, 1 − t down to 2.5e-6, on near-duplicates that tie there."""
    heading(
        f"exact field, {str(dtype).removeprefix('torch.')}, N = {', '.join(map(str, SIZES.values()))}", "worst error"
    )
    last = float(1 - time_grid("cosine", 1000)[-2])
    times = [0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999, 0.9999, 1 - 1e-5, 1 - last]
    for dim in SIZES:
        worst: dict[str, float] = {}
        for t, bridge in [(t, LINEAR) for t in times] + [(t, COSINE) for t in times if t < 0.9999]:
            points, x = duplicated(dim, t, bridge)
            field, at = ExactField(torch.from_numpy(points), bridge=bridge, dtype=dtype), bridge.at(t)
            truth = brute_field(x, points, at.gamma, at.sigma)
            truth["velocity"] = truth["velocity"] * LONG(at.rate)
            told = field.evaluate(torch.from_numpy(x), t)
            found = {name: getattr(told, name).numpy() for name in truth if name != "score"}
            found["score"] = field.score(torch.from_numpy(x), t).numpy()
            for name, right in truth.items():
                gap = np.abs(found[name] - right)
                if right.ndim == 2 and at.rate > 0:
                    gap = np.linalg.norm(gap.astype(float), axis=1) / np.linalg.norm(right.astype(float), axis=1)
                worst[name] = max(worst.get(name, 0.0), float(gap.max()))
        for name, target in {"velocity": 1e-5, "score": 1e-5}.items():
            row(f"{name}, D = {dim}, every t: relative", f"{worst[name]:.0e}", f"≤ {target:.0e}")
            assert worst[name] <= target
        others = ", ".join(f"{worst[n]:.0e}" for n in ("posterior_max", "posterior_entropy", "log_density"))
        row("  … largest weight, entropy [nats], log p_t [nats]", others.split(", ")[0], "", others)


def test_neighbours() -> None:
    heading("nearest two", "worst error")
    for dim, n in ((2, 20_000), (64, 5000), (784, 2000), (3072, 1000)):
        rng = np.random.default_rng(dim)
        points = rng.normal(size=(n, dim))
        x = np.concatenate([rng.normal(size=(20, dim)), points[:20] + 1e-6 * rng.normal(size=(20, dim)), points[20:24]])
        points[n // 2 : n // 2 + 10] = points[:10] + 2e-6 * rng.normal(size=(10, dim))
        truth = np.sort(np.stack([np.sqrt(np.square(r.astype(LONG) - points).sum(axis=1)) for r in x]), axis=1)[:, :2]
        found = nearest(torch.from_numpy(x), torch.from_numpy(points), 2).distance.numpy()
        gap = float(np.max(np.abs(found - truth) / np.where(truth > 0, truth, 1)))
        row(f"d₁, d₂, D = {dim}, copies at 1e-6 of the scale among them: relative", f"{gap:.0e}", "≤ 1e-06")
        assert gap <= 1e-6


def test_densities() -> None:
    heading("log densities [nats]", "worst error")
    for dim, n in SIZES.items():
        rng = np.random.default_rng(dim)
        points = rng.normal(size=(n, dim)).astype(np.float32)
        x = np.concatenate([rng.normal(size=(20, dim)), points[:5], 30 * rng.normal(size=(5, dim))]).astype(np.float32)
        squared = np.stack([np.square(r.astype(LONG) - points.astype(LONG)).sum(axis=1) for r in x])
        constant = np.log(LONG(n)) + dim * np.log(2 * LONG(np.pi)) / 2
        for h in (0.05, 0.5, 5.0):
            top = (-squared / (2 * LONG(h) ** 2)).max(axis=1)
            total = top + np.log(np.exp(-squared / (2 * LONG(h) ** 2) - top[:, None]).sum(axis=1))
            truth = total - constant - dim * np.log(LONG(h))
            for dtype in (torch.float64, torch.float32):
                found = kde_log_density(torch.from_numpy(x), Cloud(torch.from_numpy(points), dtype), h).numpy()
                gap = float(np.max(np.abs(found - truth) / np.maximum(1, np.abs(truth) * 1e-10)))
                name = str(dtype).removeprefix("torch.")
                row(f"KDE, D = {dim}, h = {h:g}, {name}", f"{gap:.0e}", "≤ 1e-04")
                assert gap <= 1e-4
        ball = dim / 2 * math.log(math.pi) - math.lgamma(dim / 2 + 1)
        truth = math.log(5) - math.log(n) - ball - dim * np.log(np.sort(squared, axis=1)[:, 4]) / 2
        found = knn_log_density(torch.from_numpy(x), torch.from_numpy(points), 5).numpy()
        row(f"k-NN, D = {dim}, k = 5", f"{float(np.abs(found - truth).max()):.0e}", "≤ 1e-04")
        assert np.abs(found - truth).max() <= 1e-4


class Braking:
    """dx/dt = −x³ cos t, coordinate by coordinate: x(t) = x₀ / √(1 + 2 x₀² sin t)."""

    singular_at_one, evaluations = False, 1

    def evaluate(self, x: Tensor, t: float, label: Tensor | None) -> Evaluation:
        return Evaluation(-(x**3) * math.cos(t))

    def path(self, x0: np.ndarray, t: float) -> np.ndarray:
        return x0 / np.sqrt(1 + 2 * x0**2 * math.sin(t))

    def energy(self, x0: float) -> float:
        return 0.5 * quad(lambda t: (self.path(np.asarray(x0), t) ** 3 * math.cos(t)) ** 2, 0, 1, epsabs=1e-14)[0]


@pytest.mark.parametrize(
    ("solver", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2), ("heun_ke", 2), ("rk4", 4), ("dopri5", 5)]
)
def test_convergence(solver: str, order: int) -> None:
    """On a flow whose paths and energies are known in closed form."""
    if solver == "euler":
        heading("order of convergence on a closed form, n = 40 → 80 steps", "x(1)", "kpe")
    x0, field = torch.linspace(0.3, 2.5, 40, dtype=torch.float64)[:, None], Braking()
    energy = np.array([field.energy(x) for x in x0[:, 0].tolist()])

    def errors(n: int) -> tuple[float, float]:
        path = follow(field, x0, None, Course(np.arange(n + 1) / n, solver=solver, tolerance=1e-9), 0.55)
        off = path.x1.numpy() - field.path(x0.numpy(), 1.0)
        return float(np.sqrt(np.mean(off**2))), float(np.sqrt(np.mean((path.energies.kpe / energy - 1) ** 2)))

    coarse, fine = errors(40), errors(80)
    said = f"errors at 80: {fine[0]:.0e}, {fine[1]:.0e}"
    if solver == "dopri5":
        row("dopri5, tolerance 1e-9", "", "", said)
        assert max(fine) < 1e-7
        return
    orders = [math.log2(a / b) for a, b in zip(coarse, fine, strict=True)]
    row(f"{solver}, order {order}", f"{orders[0]:.2f}", f"{orders[1]:.2f}", said)
    assert min(orders) > order - 0.2


def test_adaptive_against_scipy() -> None:
    """dopri5 on an exact field, sample by sample, against SciPy's solver of order 8 at tolerance 1e-11."""
    rng = np.random.default_rng(0)
    field = ExactField(torch.from_numpy(rng.normal(size=(30, 2))))
    x0, times = rng.normal(size=(8, 2)), np.append(np.linspace(0, 0.9, 10), 1.0)
    path = follow(field, torch.from_numpy(x0), None, Course(times, solver="dopri5", tolerance=1e-8), 0.55)

    def drift(t: float, y: np.ndarray) -> np.ndarray:
        v = field.evaluate(torch.from_numpy(y[None, :2]), t).velocity.numpy()[0]
        return np.append(v, 0.5 * v @ v)

    gaps = []
    for i, start in enumerate(x0):
        end = solve_ivp(drift, (0, 0.9), np.append(start, 0.0), method="DOP853", rtol=1e-11, atol=1e-11).y[:, -1]
        gaps.append(abs(path.spent.energy[i, :-1].sum() / end[2] - 1))
    heading("energies", "worst error")
    row("kpe of dopri5 at tolerance 1e-8 against SciPy's DOP853: relative", f"{max(gaps):.0e}", "≤ 1e-06")
    assert max(gaps) <= 1e-6


def test_energy_identities() -> None:
    rng = np.random.default_rng(0)
    field = ExactField(torch.from_numpy(rng.normal(size=(50, 5))))
    x0 = torch.from_numpy(rng.normal(size=(200, 5)))
    tightest, sums = math.inf, 0.0
    for solver in ("euler", "midpoint", "heun", "heun_ke", "rk4"):
        for grid in (np.arange(21) / 20, np.sort(np.append(rng.uniform(size=15), [0.0, 1.0]))):
            e = follow(field, x0, None, Course(grid, eta=lambda t: 1.1 - 0.3 * t, solver=solver), 0.37).energies
            tightest = min(tightest, float(np.min(e.kpe / (0.5 * e.displacement**2))))
            sums = max(sums, float(np.max(np.abs(e.kpe_early + e.kpe_late - e.kpe) / e.kpe)))
    row("kpe / ½‖Δx‖², every solver, shaped, uneven grids: smallest", f"{tightest:.4f}", "≥ 1")
    row("early + late = kpe: relative", f"{sums:.0e}", "≤ 1e-12")
    assert tightest >= 1
    assert sums <= 1e-12


def test_statistics() -> None:
    heading("statistics", "worst error")
    rng = np.random.default_rng(0)
    a, b = rng.integers(10, size=500).astype(float), rng.normal(size=500).round(1)
    gap = abs(spearman(a, b).rho - stats.spearmanr(a, b).statistic)
    row("Spearman with ties, against SciPy", f"{gap:.0e}", "≤ 1e-12")
    ours, theirs = mann_whitney(a, b), stats.mannwhitneyu(a, b)
    row("Mann–Whitney p with ties, against SciPy: relative", f"{abs(ours.p / theirs.pvalue - 1):.0e}", "≤ 1e-12")
    mean, spread = rng.normal(size=(2, 6)), np.abs(rng.normal(size=(2, 6)))
    closed = float(np.square(mean[0] - mean[1]).sum() + np.square(np.sqrt(spread[0]) - np.sqrt(spread[1])).sum())
    found = frechet((mean[0], np.diag(spread[0])), (mean[1], np.diag(spread[1])))
    row("Fréchet distance of commuting Gaussians: relative", f"{abs(found / closed - 1):.0e}", "≤ 1e-10")
    assert gap < 1e-12
    assert abs(ours.p / theirs.pvalue - 1) < 1e-12
    assert abs(found / closed - 1) < 1e-10
