"""Runs and their identity: the hash of what determines the numbers, and of nothing else."""

from pathlib import Path
from typing import Any

import pytest

from kpe_core import identity
from kpe_core.data.datasets import load
from kpe_core.identity import canonical_json, digest
from kpe_core.study.load import load_study
from kpe_core.study.runs import Cell, Run, cells, space_recipe, training_recipe, weights_recipe
from kpe_core.study.specs import (
    ClassifierSpace,
    ClipSpace,
    DataSpec,
    EfficientNetSpace,
    MLPField,
    PcaSpace,
    Study,
    UNetField,
)

BASE: dict[str, Any] = {
    "experiment": "e", "label": "e", "data": {"name": "digits"}, "field": {"kind": "exact"}, "training_step": None,
    "solver": "euler", "tolerance": None, "nfe": 20, "guidance": 1.0, "grid": "uniform", "shaping": {},
    "n_samples": 50, "seed": 0, "energy_split": 0.6, "batch": 25, "states": {}, "measure": {},
    "fingerprint": "f" * 16, "weights": None, "extractors": [],
}  # fmt: skip


def run(**changes: Any) -> Run:
    return Run.model_validate({**BASE, **changes})


def test_expansion_follows_the_file(study_file: Path) -> None:
    """fields × solvers × NFE × shapings, the last turning fastest; a label names whatever its experiment sweeps."""
    found = list(cells(load_study(str(study_file))))
    labels = [c.label for c in found]
    assert len(labels) == 1 + 2 * 2 * 2 * 3
    assert labels[:8] == [
        "plain",
        "sweep exact-1 euler nfe10 plain",
        "sweep exact-1 euler nfe10 kts(0.02, 0)",
        "sweep exact-1 euler nfe10 kts(0, 0.02)[linear]",
        "sweep exact-1 euler nfe20 plain",
        "sweep exact-1 euler nfe20 kts(0.02, 0)",
        "sweep exact-1 euler nfe20 kts(0, 0.02)[linear]",
        "sweep exact-1 heun nfe10 plain",
    ]
    assert labels[-1] == "sweep mlp-2 heun nfe20 kts(0, 0.02)[linear]"
    assert len(set(labels)) == len(labels)
    last = found[-1]
    assert (last.experiment, last.solver, last.nfe, last.shaping.landing) == ("sweep", "heun", 20, "linear")
    assert last.data.name == "dense_sparse"


def test_a_given_gain_is_numbered_where_there_are_several(study_file: Path) -> None:
    def labels(shapings: str) -> list[str]:
        study = load_study(str(study_file), ("experiments.0.sampling.shapings=" + shapings,))
        return [c.label for c in cells(study) if c.experiment == "plain"]

    assert labels("[{}, {eta: 1 - 0.5*t}]") == ["plain plain", "plain kts(eta)"]
    both = "[{eta: 1 - 0.5*t}, {alpha0: 0.1}, {eta: [[0, 1], [1, 0.5]]}]"
    assert labels(both) == ["plain kts(eta-1)", "plain kts(0.1, 0)", "plain kts(eta-2)"]


def checkpointed(fields: Any) -> list[Cell]:
    experiment = {"name": "e", "data": {"name": "digits"}, "fields": fields, "sampling": {"nfe": [10, 20]}}
    return list(cells(Study.model_validate({"name": "s", "experiments": [experiment]})))


def test_checkpoints_are_a_sweep_over_one_training() -> None:
    """The last step is always among them, and a run does not know which others were looked at."""
    field = {"kind": "unet", "steps": 300, "checkpoints": [100, 200]}
    found = checkpointed(field)
    assert [c.label for c in found] == [
        f"e step{step} nfe{nfe}" for step in (100, 200, 300) for nfe in (10, 20)
    ]  # fmt: skip
    assert [c.training_step for c in found] == [100, 100, 200, 200, 300, 300]
    assert len({c.field for c in found}) == 1
    assert {c.training_step for c in checkpointed(field | {"checkpoints": 300})} == {300}
    alone = checkpointed(field | {"checkpoints": []})
    assert [c.label for c in alone] == ["e nfe10", "e nfe20"]
    assert alone[0].model_copy(update={"label": found[4].label}) == found[4]
    both = checkpointed([{"kind": "exact", "conditional": True}, field])
    assert [c.label for c in both][:3] == ["e exact-1 nfe10", "e exact-1 nfe20", "e unet-2 step100 nfe10"]
    assert both[0].training_step is None


def test_heun_takes_half_as_many_steps() -> None:
    assert (run().steps, run(solver="heun").steps) == (20, 10)


def test_networks_are_asked_for_classes() -> None:
    assert not run().conditional
    assert run(field={"kind": "mlp"}).conditional
    assert run(field={"kind": "exact", "conditional": True}).conditional


@pytest.mark.parametrize(
    ("solver", "each"), [("euler", 1), ("midpoint", 2), ("heun", 2), ("heun_ke", 2), ("rk4", 4), ("dopri5", 1)]
)
def test_steps_are_what_the_evaluations_pay_for(solver: str, each: int) -> None:
    assert run(solver=solver).steps == 20 // each


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"nfe": 22},
        {"solver": "heun"},
        {"solver": "heun_ke"},
        {"tolerance": 1e-6},
        {"guidance": 1.5},
        {"field": {"kind": "exact", "bridge": "cosine"}},
        {"field": {"kind": "exact", "conditional": True}},
        {"grid": "cosine"},
        {"shaping": {"alpha0": 0.01}},
        {"shaping": {"beta0": 0.01}},
        {"n_samples": 51},
        {"batch": 50},
        {"energy_split": 0.5},
        {"states": {"keep": "endpoints"}},
        {"data": {"name": "digits", "prepare": {"scale": 2}}},
        {"field": {"kind": "exact", "dtype": "float32"}},
        {"fingerprint": "0" * 16},
        {"weights": "w"},
        {"training_step": 5},
    ],
    ids=str,
)
def test_whatever_moves_the_numbers_moves_both_ids(change: dict[str, Any]) -> None:
    assert run(**change).trajectories_id != run().trajectories_id
    assert run(**change).run_id != run().run_id


@pytest.mark.parametrize("change", [{"experiment": "other"}, {"label": "other"}])
def test_names_move_nothing(change: dict[str, Any]) -> None:
    assert run(**change).trajectories_id == run().trajectories_id
    assert run(**change).run_id == run().run_id


@pytest.mark.parametrize(
    "change",
    [{"measure": {"bootstrap": 500}}, {"measure": {"spaces": [{"extractor": "pixels"}]}}, {"extractors": ["c"]}],
)
def test_measures_move_the_run_but_not_its_trajectories(change: dict[str, Any]) -> None:
    """So that measuring anew samples nothing anew."""
    assert run(**change).trajectories_id == run().trajectories_id
    assert run(**change).run_id != run().run_id


def test_identity_survives_json_and_does_not_depend_on_spelling() -> None:
    spelled = run(shaping={"alpha0": 0, "tau": 0.6}, data={"prepare": {"scale": 1}, "name": "digits"})
    assert spelled.run_id == run().run_id
    assert Run.model_validate_json(run().model_dump_json()).run_id == run().run_id


def test_ids_hold_the_numerics_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = run().run_id
    monkeypatch.setattr(identity, "NUMERICS_VERSION", identity.NUMERICS_VERSION + 1)
    assert run().run_id != before


def test_digest_is_of_values() -> None:
    assert canonical_json({"b": 1, "a": [0.1, None]}) == '{"a":[0.1,null],"b":1}'
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    assert digest("ab", "c") != digest("a", "bc")
    assert len(digest("x")) == 16
    assert len(digest("x", length=8)) == 8
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest(float("nan"))


def test_a_plain_run_is_the_baseline_of_its_shaped_ones() -> None:
    shaped = run(shaping={"beta0": 0.01})
    assert run(label="whatever").is_baseline_of(shaped)
    assert not shaped.is_baseline_of(run())
    assert not run().is_baseline_of(run())
    assert not run(shaping={"alpha0": 0.01}).is_baseline_of(shaped)
    for other in ({"seed": 1}, {"nfe": 40}, {"measure": {"bootstrap": 500}}):
        assert not run(**other).is_baseline_of(shaped)


CHOICES: list[dict[str, Any]] = [
    {"seed": 1}, {"steps": 1}, {"ema": 0.9}, {"clip": 1.0}, {"warmup": 5}, {"schedule": "cosine"}, {"batch": 7},
    {"precision": "bfloat16"}, {"label_dropout": 0.1}, {"weight_decay": 0.1}, {"learning_rate": 0.1},
]  # fmt: skip


def test_recipes_are_of_spec_and_data() -> None:
    """A network is trained once for all runs that use it; it cares for its points, a classifier for the split."""
    network = MLPField(kind="mlp")
    trainings = {
        training_recipe(network, "a"),
        training_recipe(network, "b"),
        training_recipe(UNetField(kind="unet"), "a"),
        *(training_recipe(network.model_copy(update=change), "a") for change in CHOICES),
    }
    assert len(trainings) == 3 + len(CHOICES)
    looked_at = network.model_copy(update={"checkpoints": (10, 20)})
    assert training_recipe(looked_at, "a") == training_recipe(network, "a")
    assert len({weights_recipe(training, step) for training in trainings for step in (10, 20)}) == 2 * len(trainings)


def test_what_is_expected_of_runs_is_no_part_of_them() -> None:
    experiment = {"name": "a", "data": {"name": "digits"}, "fields": {"kind": "exact"}}
    expectation = {"table": "samples", "means": "small", "expectation": "expect_column_values_to_be_between"}
    plain = Study.model_validate({"name": "s", "experiments": [experiment]})
    more = Study.model_validate({"name": "s", "experiments": [experiment], "quality": [expectation]})
    assert list(cells(plain)) == list(cells(more))


def test_what_is_fitted_on_the_data_is_fitted_once() -> None:
    """A classifier learns the whole train split, principal components are of the field's own points."""
    many, few = load(DataSpec(name="sandwich")), load(DataSpec(name="sandwich", n_train=50))
    classifier, pca = ClassifierSpace(extractor="classifier"), PcaSpace(extractor="pca")
    assert space_recipe(classifier, many) == space_recipe(classifier, few)
    assert space_recipe(classifier, many) == space_recipe(classifier.model_copy(update={"name": "other"}), many)
    assert space_recipe(pca, many) != space_recipe(pca, few)
    assert space_recipe(pca, many) != space_recipe(pca.model_copy(update={"components": 2}), many)
    assert space_recipe(classifier, many) != space_recipe(classifier.model_copy(update={"epochs": 1}), many)


def test_where_weights_lie_is_no_part_of_an_id_and_what_they_are_is() -> None:
    def of(extractors: tuple[str, ...], **changes: Any) -> str:
        space = {"extractor": "clip", "model": "ViT-B-32", "weights": "/here", **changes}
        return run(measure={"spaces": [space]}, extractors=extractors).run_id

    assert of(("a",)) == of(("a",), weights="/there")
    assert len({of(("a",)), of(("b",)), of(("a",), prompt="{class}"), of(("a",), model="RN50")}) == 4


def test_features_do_not_depend_on_how_they_are_read() -> None:
    clip = ClipSpace(extractor="clip", model="ViT-B-32", weights="x", prompt="a {class}")
    assert clip.feature_identity() == {"extractor": "clip", "model": "ViT-B-32"}
    net = EfficientNetSpace(extractor="efficientnet")
    assert net.feature_identity() == net.model_copy(update={"semantics": "prototypes", "name": "n"}).feature_identity()
    assert net.feature_identity() != net.model_copy(update={"side": 112}).feature_identity()
