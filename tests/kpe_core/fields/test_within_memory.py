"""A field asked in parts: halved until it fits, remembered, and the same numbers sample by sample."""

import pytest
import torch
from torch import Tensor

from kpe_core.errors import UserError
from kpe_core.fields.base import Evaluation
from kpe_core.fields.efm import ExactField
from kpe_core.fields.within_memory import Room, WithinMemory, room_for
from kpe_core.sampling.path import follow
from kpe_core.sampling.solvers import SOLVERS
from tests.kpe_core.sampling.known import course

X = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
POINTS = torch.randn(30, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(30) % 2
ASKED = torch.arange(20) % 2


class Narrow:
    """``field``, with memory for so many samples."""

    def __init__(self, most: int, error: Exception, field: ExactField | None = None) -> None:
        self.most, self.error, self.field = most, error, field or ExactField(POINTS, LABELS)
        self.singular_at_one, self.null_label, self.evaluations = True, None, 1
        self.asked: list[int] = []

    def evaluate(self, x: Tensor, t: float, label: Tensor | None) -> Evaluation:
        self.asked.append(len(x))
        if len(x) > self.most:
            raise self.error
        return self.field.evaluate(x, t, label)


OUT = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
CPU_OUT = RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you tried …")


@pytest.mark.parametrize("error", [OUT, MemoryError(), CPU_OUT], ids=["cuda", "python", "torch on a CPU"])
@pytest.mark.parametrize("label", [None, ASKED], ids=["free", "by class"])
def test_halved_until_it_fits_and_remembered(error: Exception, label: Tensor | None) -> None:
    narrow, room = Narrow(6, error), Room()
    field = WithinMemory(narrow, room)
    here, whole = field.evaluate(X, 0.4, label), narrow.field.evaluate(X, 0.4, label)
    assert narrow.asked == [20, 10, 5, 5, 5, 5]
    for mine, theirs in zip(here, whole, strict=True):
        assert mine is not None
        assert theirs is not None
        assert torch.allclose(mine, theirs, rtol=1e-12, atol=1e-12)
    narrow.asked.clear()
    WithinMemory(narrow, room).evaluate(X, 0.5, label)
    assert narrow.asked == [5, 5, 5, 5], "the next shard starts at the size that fitted"
    assert room.together(20) == 5


def test_what_fits_goes_through_untouched() -> None:
    narrow, room = Narrow(20, OUT), Room()
    here, whole = WithinMemory(narrow, room).evaluate(X, 0.4, None), narrow.field.evaluate(X, 0.4)
    assert torch.equal(here.velocity, whole.velocity)
    assert room == Room(None)


def test_one_sample_that_does_not_fit_is_the_users_turn() -> None:
    with pytest.raises(UserError, match=r"memory of cpu does not hold what one sample of 3 coordinates takes; free it"):
        WithinMemory(Narrow(0, OUT), Room()).evaluate(X, 0.4, None)


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        WithinMemory(Narrow(0, RuntimeError("shapes cannot be multiplied")), Room()).evaluate(X, 0.4, None)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_path_goes_on_where_it_was(solver: str) -> None:
    """Out of memory half-way along: not a step is lost, and the adaptive solver controls the whole batch as before."""
    narrow = Narrow(20, OUT)
    field, kept = WithinMemory(narrow, Room()), list[int]()

    def keep(index: int, state: Tensor) -> None:
        kept.append(index)
        if index == 3:
            narrow.most = 7

    path, whole = (follow(f, X, None, course(solver, 6), 0.6, k) for f, k in ((field, keep), (narrow.field, _nothing)))
    assert kept == list(range(7))
    assert path.energies.kpe == pytest.approx(whole.energies.kpe, rel=1e-9)
    assert path.evaluations == whole.evaluations


def _nothing(index: int, state: Tensor) -> None:
    pass


def test_each_model_has_its_own_room() -> None:
    assert room_for("test-a") is room_for("test-a")
    assert room_for("test-a") is not room_for("test-b")
