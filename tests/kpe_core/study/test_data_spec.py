"""What a study file may say of its data, set by set."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from kpe_core.study.names import DATASETS
from kpe_core.study.specs import DataSpec
from kpe_core.study.specs.data import OPTIONS

VALUES: dict[str, Any] = {
    "root": "x", "split": "random", "reference": 100, "size": 64, "crop": 140, "colour": True, "labels": "y",
    "scale_factor": 0.5, "value_range": [0, 1], "vae": "x", "class_names": "x",
}  # fmt: skip


def spec(**choices: Any) -> DataSpec:
    return DataSpec.model_validate(choices)


@pytest.mark.parametrize("name", DATASETS)
def test_a_set_takes_its_own_choices_and_refuses_others_by_name(name: str) -> None:
    assert set(VALUES) == set(OPTIONS)
    for option, value in VALUES.items():
        if option in DATASETS[name].options:
            assert getattr(spec(name=name, **{option: value}), option) is not None
        elif option == "split":
            assert spec(name=name, split="random") == spec(name=name), "the only split it has"
        else:
            with pytest.raises(ValidationError, match=rf"'{option}' is not a choice of data set '{name}'; it takes "):
                spec(name=name, **{option: value})


@pytest.mark.parametrize("name", DATASETS)
def test_a_spec_survives_its_own_json(name: str) -> None:
    given = spec(name=name)
    assert spec(**given.model_dump(mode="json")) == given


def test_identity_of_sets_without_files_is_what_it_was() -> None:
    """So that runs keep their ids."""
    said = spec(name="digits", n_train=64).identity()
    prepare = {"pool": None, "scaling": "centered", "scale": 1.0}
    assert said == {"name": "digits", "n_train": 64, "held_out": 0.2, "seed": 0, "prepare": prepare}


def test_identity_knows_choices_and_not_places(tmp_path: Path) -> None:
    here, there = (spec(name="celeba", root=str(tmp_path / d)).identity() for d in "ab")
    assert here == there
    assert str(tmp_path) not in str(here)
    assert spec(name="celeba", size=64).identity() != here
    assert here["size"] == 32, "defaults are said"


def test_a_relative_root_counts_from_where_the_study_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert spec(name="array", root="x.npy").root == str(tmp_path / "x.npy")
    assert spec(name="array", root="~/x.npy").root == os.path.expanduser("~/x.npy")


def test_the_publishers_split_is_the_default_and_needs_no_share() -> None:
    assert (spec(name="cifar10").split, spec(name="cifar10").held_out) == ("own", None)
    assert (spec(name="cifar10", split="random").held_out, spec(name="digits").held_out) == (0.2, 0.2)
    with pytest.raises(ValidationError, match=r"held_out is for a random split, and 'cifar10' brings its own"):
        spec(name="cifar10", held_out=0.1)
    with pytest.raises(
        ValidationError, match=r"split: own is for sets with a test part of their own; 'digits' has none"
    ):
        spec(name="digits", split="own")


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"name": "cifar"}, "did you mean 'cifar10'"),
        ({"name": "celeba", "size": 64, "crop": 32}, "size = 64 would enlarge a crop of 32"),
        ({"name": "celeba", "size": 2}, "greater than or equal to 4"),
        ({"name": "celeba", "reference": 0}, "greater than or equal to 1"),
        ({"name": "celeba", "reference": "most"}, "'all'"),
        ({"name": "celeba", "colour": 1}, "valid boolean"),
        ({"name": "latents", "scale_factor": 0}, "greater than 0"),
        ({"name": "array", "value_range": [1, 0]}, "the first number must be below the second"),
        ({"name": "array", "value_range": 5}, "a pair of numbers"),
        ({"name": "array", "value_range": ["a", 2]}, "a pair of numbers"),
        ({"name": "array", "value_range": [0, float("nan")]}, "the first number must be below the second"),
    ],
)
def test_bad_values_are_named(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        spec(**choices)
