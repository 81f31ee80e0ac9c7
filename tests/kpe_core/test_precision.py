"""A precision holds within its block alone, and belongs to a run's identity where it is not the usual one."""

from typing import Any

import pytest
import torch

from flows.cluster import require_usable
from flows.profiles import load_profile
from kpe_core.devices import CPU, device_here
from kpe_core.errors import UserError
from kpe_core.precision import nearest_precision, precision
from kpe_core.study.runs import cells
from kpe_core.study.specs import Study
from tests.kpe_core.study.test_runs import run

MLP = {"kind": "mlp"}


def study(field: dict[str, Any], asked: str) -> Study:
    experiment = {"name": "e", "data": {"name": "digits"}, "fields": field, "sampling": {"precision": asked}}
    return Study.model_validate({"name": "s", "experiments": [experiment]})


def _told() -> tuple[bool, bool, bool]:
    return (
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.is_autocast_enabled("cpu"),
    )


def _look_and_fail() -> None:
    with precision("bfloat16", CPU):
        assert _told() == (False, False, True)
        raise KeyError("within")


def test_what_torch_was_told_holds_again() -> None:
    before = _told()
    with pytest.raises(KeyError, match="within"):
        _look_and_fail()
    assert _told() == before
    with precision("float32", CPU):
        assert _told() == (False, False, False)
    assert _told() == before


def test_float64_is_left_alone() -> None:
    x = torch.randn(5, 5, dtype=torch.float64)
    with precision("bfloat16", CPU):
        within = x @ x
    assert torch.equal(within, x @ x)


def test_tf32_is_refused_on_a_cpu() -> None:
    with pytest.raises(UserError, match="tf32 is an NVIDIA GPU's"), precision("tf32", CPU):
        pass
    assert nearest_precision("tf32", CPU) == "float32"
    assert nearest_precision("bfloat16", CPU) == "bfloat16"


@pytest.mark.skipif(device_here() != CPU, reason="there is a GPU here")
def test_local_workers_without_a_gpu_are_told_before_anything_runs() -> None:
    require_usable(load_profile("local", 1), study(MLP, "bfloat16"))
    with pytest.raises(UserError, match=r"e: sampling\.precision = tf32 is an NVIDIA GPU's"):
        require_usable(load_profile("local", 1), study(MLP, "tf32"))


def test_another_precision_is_another_run_and_the_usual_one_goes_without_saying() -> None:
    usual, half = (run(field=MLP, training_step=1, precision=name) for name in ("float32", "bfloat16"))
    assert usual.run_id == run(field=MLP, training_step=1).run_id
    assert "precision" not in usual.sampling_identity()
    assert usual.trajectories_id != half.trajectories_id
    assert usual.run_id != half.run_id


def test_ids_of_before_there_was_a_choice_hold() -> None:
    assert (run().trajectories_id, run().run_id) == ("0b5bb81f9adb2e87", "1f060dca67a5c5a7")


def test_labels_name_a_precision_that_is_not_the_usual_one() -> None:
    assert [c.label for c in cells(study(MLP, "bfloat16"))] == ["e bfloat16"]
    assert [c.label for c in cells(study(MLP, "float32"))] == ["e"]


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ({"kind": "exact"}, "tf32 is for networks; an exact field's precision is its dtype"),
        ({"kind": "pretrained", "layout": "torchscript", "path": "m.pt", "dtype": "float16"}, "dtype is float16"),
    ],
)
def test_fields_with_a_precision_of_their_own_refuse_another(field: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        study(field, "tf32")
