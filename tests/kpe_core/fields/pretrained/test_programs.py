"""Programs and functions: loaded for these layouts alone, asked as declared, and named where they fail."""

import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kpe_core.errors import UserError
from kpe_core.fields.pretrained.field import PretrainedVelocity, pretrained_field
from kpe_core.fields.pretrained.layouts import weights_hash
from kpe_core.study.specs import PretrainedField


class Pull(nn.Module):
    """v = w (1 − t) x."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.w * (1 - t)[:, None, None, None] * x


class PullByClass(Pull):
    """v = w (1 − t) x + label."""

    def forward(self, x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        return self.w * (1 - t)[:, None, None, None] * x + label[:, None, None, None]


def field(layout: str, path: object, points: tuple[int, ...] = (4, 4), **choices: object) -> PretrainedVelocity:
    spec = PretrainedField.model_validate({"kind": "pretrained", "layout": layout, "path": str(path)} | choices)
    return pretrained_field(spec, points, weights_hash(spec))


def export(path: Path, by_class: bool = False, dynamic: bool = True) -> Path:
    arguments = (torch.randn(3, 1, 4, 4), torch.rand(3)) + ((torch.tensor([0, 1, 2]),) if by_class else ())
    batch = {0: torch.export.Dim("batch")}
    shapes = (batch,) * len(arguments) if dynamic else None
    torch.export.save(
        torch.export.export(PullByClass() if by_class else Pull(), arguments, dynamic_shapes=shapes), path
    )
    return path


def script(path: Path, by_class: bool = False) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(PullByClass() if by_class else Pull()).save(str(path))
    return path


X = torch.randn(5, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("layout", "write"), [("exported", export), ("torchscript", script)])
def test_a_program_is_a_velocity(tmp_path: Path, layout: str, write) -> None:  # type: ignore[no-untyped-def]
    v = field(layout, write(tmp_path / "model")).evaluate(X, 0.25).velocity
    assert torch.allclose(v.double(), 2.25 * X, atol=1e-5)
    by_class = field(layout, write(tmp_path / "by-class", by_class=True), n_classes=10, null_label=0, label_shift=1)
    asked = by_class.evaluate(X, 0.25, torch.arange(5)).velocity.double()
    assert torch.allclose(asked, 2.25 * X + torch.arange(1, 6)[:, None], atol=1e-5)
    assert torch.allclose(by_class.evaluate(X, 0.25).velocity.double(), 2.25 * X, atol=1e-5)


def test_a_fixed_batch_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fails on two points of shape \(1, 4, 4\) float32: "):
        field("exported", export(tmp_path / "fixed.pt2", dynamic=False))


@pytest.mark.parametrize(("layout", "what"), [("exported", "torch.export"), ("torchscript", "TorchScript")])
def test_a_broken_program(tmp_path: Path, layout: str, what: str) -> None:
    path = (export if layout == "exported" else script)(tmp_path / "model")
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UserError, match=f"is no program of {what}|is no {what} program"):
        field(layout, path)
    path.write_text("hello")
    with pytest.raises(UserError, match=f"is no program of {what}|is no {what} program"):
        field(layout, path)


FUNCTION = """
import torch

def pull(x, t, label):
    return 3 * (1 - t)[:, None, None, None] * x if label is None else x + label[:, None, None, None]

def nan(x, t, label):
    return x * float("nan")

def flat(x, t, label):
    return x.flatten(1)

def fails(x, t, label):
    raise ValueError("no idea")

def late(x, t, label):
    return torch.where(t[:, None, None, None] > 0.7, torch.inf, 0.0) * torch.ones_like(x)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mymodel_for_kpe.py"
    path.write_text(FUNCTION)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("mymodel_for_kpe", None)
    return path


@pytest.mark.parametrize("by_file", [True, False])
def test_a_function_is_a_velocity(module: Path, by_file: bool) -> None:
    where = f"{module}:pull" if by_file else "mymodel_for_kpe:pull"
    assert torch.allclose(field("function", where).evaluate(X, 0.25).velocity.double(), 2.25 * X, atol=1e-5)
    asked = field("function", where, n_classes=5).evaluate(X, 0.25, torch.arange(5)).velocity.double()
    assert torch.allclose(asked, X + torch.arange(5)[:, None], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nan", "returns NaN or infinity for noise at t = 0.5"),
        ("flat", r"returned \(2, 16\) for inputs of shape \(2, 1, 4, 4\); a field keeps the shape"),
        ("fails", "fails on two points of shape .*: ValueError: no idea"),
        ("absent", "has no function 'absent'"),
    ],
)
def test_a_function_that_is_wrong(module: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        field("function", f"{module}:{name}")


def test_a_module_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no Python module 'nowhere_at_all' on the import path"):
        field("function", "nowhere_at_all:v")
    with pytest.raises(UserError, match=r"the function's file is missing; looked for .*/gone.py"):
        field("function", f"{tmp_path}/gone.py:v")
    (tmp_path / "bad.py").write_text("1/0")
    with pytest.raises(UserError, match=r"bad.py cannot be imported: ZeroDivisionError"):
        field("function", f"{tmp_path}/bad.py:v")


def test_a_function_s_identity_is_its_source(module: Path) -> None:
    def spec(where: str) -> PretrainedField:
        return PretrainedField.model_validate({"kind": "pretrained", "layout": "function", "path": where})

    a, b = spec(f"{module}:pull"), spec("mymodel_for_kpe:pull")
    assert weights_hash(a) == weights_hash(b)
    assert a.identity() == b.identity() != spec(f"{module}:nan").identity()
    before = weights_hash(a)
    module.write_text(FUNCTION + "\n")
    assert weights_hash(a) != before


def test_the_model_s_own_shape(module: Path) -> None:
    """Points of 16 coordinates as the function wants them."""
    ours = field("function", f"{module}:pull", (16,), shape=[1, 4, 4])
    assert ours.evaluate(X, 0.0).velocity.shape == (5, 16)
    with pytest.raises(UserError, match=r"fields.shape = \[1, 4, 5\] is not the size of the data's points, \(16,\)"):
        field("function", f"{module}:pull", (16,), shape=[1, 4, 5])
