"""The device is the states': everything a sampler makes lies there, and a GPU's numbers are the CPU's but for rounding."""

import pytest
import torch
from torch import Tensor

from kpe_core.devices import CPU, device_here, device_name
from kpe_core.fields.base import Evaluation, VelocityField
from kpe_core.fields.efm import ExactField
from kpe_core.fields.mlp import VelocityMLP
from kpe_core.fields.network import NetworkVelocity
from kpe_core.fields.unet import VelocityUNet
from kpe_core.precision import precision
from kpe_core.sampling.path import Path, follow
from kpe_core.sampling.solvers import SOLVERS
from kpe_core.study.specs import Precision
from tests.kpe_core.sampling.known import course

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
DEVICES = [CPU, pytest.param(torch.device("cuda", 0), marks=needs_gpu)]
X = torch.randn(12, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
POINTS = torch.randn(40, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
LABELS, ASKED = torch.arange(40) % 3, torch.arange(12) % 3


class Watchful:
    """``field``; refuses what lies anywhere but on ``device``, or in another dtype than the sampler's."""

    def __init__(self, field: VelocityField, device: torch.device) -> None:
        self.field, self.device = field, device
        self.singular_at_one, self.null_label, self.evaluations = field.singular_at_one, field.null_label, 1

    def evaluate(self, x: Tensor, t: float, label: Tensor | None) -> Evaluation:
        assert x.device == self.device
        assert x.dtype == torch.float64
        assert label is None or label.device == self.device
        told = self.field.evaluate(x, t, label)
        assert all(part is None or part.device == self.device for part in told)
        return told


def field(kind: str, device: torch.device) -> VelocityField:
    if kind.startswith("exact"):
        return ExactField(POINTS.to(device), LABELS.to(device), dtype=getattr(torch, kind.removeprefix("exact ")))
    torch.manual_seed(0)
    network = VelocityMLP(64, 3, 32, 2) if kind == "mlp" else VelocityUNet((8, 8), 3, 16, (1, 2), attention=True)
    for parameter in network.parameters():
        parameter.data.normal_(0.0, 0.1)
    return NetworkVelocity(network.to(device))


def sampled(kind: str, device: torch.device, solver: str = "euler", name: Precision = "float32") -> Path:
    watched = Watchful(field(kind, device), device)

    def keep(index: int, state: Tensor) -> None:
        assert state.device == device

    with precision(name, device):
        return follow(watched, X.to(device), ASKED.to(device), course(solver, 8), 0.6, keep)


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", ["exact float64", "exact float32", "mlp", "unet"])
def test_everything_lies_where_the_noise_does(kind: str, solver: str, device: torch.device) -> None:
    path = sampled(kind, device, solver)
    assert path.x1.device == device
    assert path.x1.dtype == torch.float64


@needs_gpu
@pytest.mark.parametrize(
    ("kind", "name", "tolerance"),
    [
        ("exact float64", "float32", 1e-8), ("exact float32", "float32", 1e-4), ("mlp", "float32", 1e-4),
        ("unet", "float32", 1e-4), ("unet", "tf32", 1e-2), ("unet", "bfloat16", 5e-2),
    ],
)  # fmt: skip
def test_a_gpu_agrees_with_the_cpu(kind: str, name: Precision, tolerance: float) -> None:
    """To the tolerance stated: relative, of every sample's energy."""
    here, there = sampled(kind, CPU), sampled(kind, torch.device("cuda", 0), name=name)
    assert there.energies.kpe == pytest.approx(here.energies.kpe, rel=tolerance)


@needs_gpu
def test_a_gpu_is_known_by_its_uuid() -> None:
    assert "-" in device_name(device_here())


def test_a_cpu_is_a_cpu() -> None:
    assert device_name(CPU) == "cpu"


@pytest.mark.parametrize("kind", ["mlp", "unet"])
def test_bfloat16_is_near_and_not_the_same(kind: str) -> None:
    """8 bits of mantissa: 5 % of each sample's energy."""
    full, half = (sampled(kind, CPU, name=name).energies.kpe for name in ("float32", "bfloat16"))
    assert half == pytest.approx(full, rel=5e-2)
    assert (half != full).all()
