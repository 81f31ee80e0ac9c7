"""Which class each sample is asked for."""

from typing import Any

import numpy as np
import pytest

from kpe_core.data.datasets import Prepared, load
from kpe_core.errors import UserError
from kpe_core.stages.labels import class_numbers, labels_of
from kpe_core.stages.requirements import require_possible
from kpe_core.study.runs import Run
from kpe_core.study.specs import DataSpec, SamplingSpec
from tests.kpe_core.study.test_runs import run

N = 1000


@pytest.fixture(scope="module")
def lopsided() -> Prepared:
    """A tight cluster of four points in five, and a loose one."""
    return load(DataSpec(name="dense_sparse", n_train=500))


def asked(classes: Any, prepared: Prepared, **changes: Any) -> np.ndarray:
    spec = SamplingSpec.model_validate({"classes": classes})
    field = {"kind": "exact", "conditional": True}
    return labels_of(run(**({"field": field, "n_samples": N, "classes": spec.classes} | changes)), prepared)


def test_even_takes_all_in_turn() -> None:
    digits = load(DataSpec(name="digits"))
    assert asked("even", digits).tolist() == [i % 10 for i in range(N)]


def test_unconditional_fields_are_asked_for_none(lopsided: Prepared) -> None:
    assert set(asked("even", lopsided, field={"kind": "exact"})) == {-1}


def test_data_follows_the_training_points_proportions(lopsided: Prepared) -> None:
    """In any run of samples, wherever it begins: within three of what the proportions say."""
    labels = asked("data", lopsided)
    share = np.bincount(lopsided.point_labels, minlength=2) / 500
    for start in (0, 1, 37, 500):
        for stop in (start + 10, start + 100, N):
            counts = np.bincount(labels[start:stop], minlength=2)
            assert np.abs(counts - share * (stop - start)).max() <= 3


def test_data_of_many_classes_reaches_the_rare_ones() -> None:
    mnist = load(DataSpec(name="mnist5k"))
    counts = np.bincount(asked("data", mnist), minlength=10)
    assert np.abs(counts - N * np.bincount(mnist.train_labels) / len(mnist.train_labels)).max() <= 3


def test_a_sample_keeps_its_class_in_a_longer_run(lopsided: Prepared) -> None:
    """So that neither the number of samples nor the shards they are cut into decide it."""
    for classes in ("even", "data", [1, 0, 0]):
        assert np.array_equal(asked(classes, lopsided), asked(classes, lopsided, n_samples=2 * N)[:N])


@pytest.mark.parametrize(("classes", "cycle"), [(3, [3]), ("3", [3]), ([7, 1], [7, 1]), (["7", 1, 1], [7, 1, 1])])
def test_some_classes_are_taken_over_and_over(classes: Any, cycle: list[int]) -> None:
    digits = load(DataSpec(name="digits"))
    numbers = class_numbers(SamplingSpec.model_validate({"classes": classes}).classes, digits)
    assert list(numbers) == cycle
    assert asked(numbers, digits).tolist() == [cycle[i % len(cycle)] for i in range(N)]


@pytest.mark.parametrize("wanted", [10, "ten", ["0", "nought"]])
def test_unknown_classes_are_refused_by_name(wanted: Any) -> None:
    digits = load(DataSpec(name="digits"))
    name = wanted if not isinstance(wanted, list) else wanted[-1]
    with pytest.raises(UserError, match=rf"'digits' has no class {name!r}.*numbered 0 to 9 and named 0, 1, 2"):
        class_numbers(SamplingSpec.model_validate({"classes": wanted}).classes, digits)


@pytest.mark.parametrize("wanted", [-1, True, 1.5, [], [[1]], None, {"a": 1}])
def test_what_is_no_class_is_refused(wanted: Any) -> None:
    with pytest.raises(ValueError, match="class"):
        SamplingSpec.model_validate({"classes": wanted})


def test_the_choice_belongs_to_the_identity_and_the_default_goes_without_saying() -> None:
    even, other = run(), run(classes=[3])
    assert len({r.trajectories_id for r in (even, other, run(classes="data"), run(classes=[3, 4]))}) == 4
    assert "classes" not in even.sampling_identity()
    assert Run.model_validate(other.model_dump(mode="json")) == other


def test_classes_without_points_are_refused_and_others_not_asked_for() -> None:
    changes: dict[str, Any] = {
        "data": {"name": "digits", "n_train": 5},
        "field": {"kind": "exact", "conditional": True},
    }
    with pytest.raises(UserError, match=r"none of the 5 training points is of class 5, 6, 7, 8, 9"):
        require_possible(run(**changes))
    require_possible(run(**changes, classes=[0, 4]))
    require_possible(run(**changes, classes="data"))
