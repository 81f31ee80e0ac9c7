"""Checkpoints of one training as runs of a study: trained once, stored one by one, kept when the training dies."""

import io
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from kpe_core.catalog.analyses import analysis
from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import UserError
from kpe_core.fields import training
from kpe_core.report.build import build
from kpe_core.stages.plan import plan
from kpe_core.stages.requirements import missing_trainings, require_possible, standing
from kpe_core.stages.resolve import field_of, resolve
from kpe_core.stages.train import network_weights
from kpe_core.store.store import Store
from kpe_core.store.weights import WeightsBox
from kpe_core.study.load import load_study
from kpe_core.study.runs import cells, weights_recipe
from kpe_core.study.specs import NetworkField, Study
from kpe_core.threads import one_thread
from tests.conftest import run_serially

STUDY = """
name: training
experiments:
  - name: learning
    data: {name: digits, n_train: 32, prepare: {pool: 4}}
    fields: {kind: unet, channels: 8, patch: 1, steps: 40, batch: 8, schedule: constant, checkpoints: [10, 25]}
    sampling: {n_samples: 40, nfe: 4, batch: 20, states: {keep: endpoints}, shapings: [{}, {beta0: 0.02}]}
    measure: {densities: [], spaces: [{extractor: classifier, epochs: 1, features: 4}], bootstrap: 200, probe: 0}
  - name: again
    data: {name: digits, n_train: 32, prepare: {pool: 4}}
    fields: {kind: unet, channels: 8, patch: 1, steps: 40, batch: 8, schedule: constant, checkpoints: [5]}
    sampling: {n_samples: 20, nfe: 2, batch: 20, states: {keep: none}}
    measure: {densities: [], probe: 0}
"""


class Killed(Exception):
    pass


def study(folder: Path, text: str = STUDY) -> Study:
    (folder / "training.yaml").write_text(text)
    return load_study(str(folder / "training.yaml"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Study]:
    """The study run into a store, its trainings counted on the way."""
    folder = tmp_path_factory.mktemp("checkpoints")
    here, store = study(folder), Store.create_or_open(str(folder / "store"))
    with mock.patch.object(training, "train", wraps=training.train) as train:
        run_serially(here, store)
    assert train.call_count == 1, "two experiments look at one training"
    return store, here


def test_one_training_for_all_checkpoints_of_all_experiments(tmp_path: Path) -> None:
    here, store = study(tmp_path), Store.create_or_open(str(tmp_path / "store"))
    classifier, network = missing_trainings(store, here)
    assert (classifier.kind, network.kind) == ("classifier", "network")
    assert network.as_parameters()["steps"] == [5, 10, 25, 40]
    assert [resolve(store, cell) for cell in cells(here)] == [None] * 8
    assert standing(store, here).trainings_missing == 2


def test_every_checkpoint_is_a_run_of_its_own_weights(trained: tuple[Store, Study]) -> None:
    store, here = trained
    assert missing_trainings(store, here) == []
    runs = [run for cell in cells(here) if (run := resolve(store, cell)) is not None]
    assert len({run.run_id for run in runs}) == 8
    of_step = {run.training_step: run.weights for run in runs}
    assert sorted(of_step) == [5, 10, 25, 40]
    assert len(set(of_step.values())) == 4
    with Catalog(store) as catalog:
        rows = catalog.query("SELECT training_step, field, weights FROM runs").to_pylist()
    assert {(row["training_step"], row["weights"]) for row in rows} == set(of_step.items())
    assert {row["field"] for row in rows} == {"unet"}
    again = runs[0].model_copy(update={"training_step": 40, "weights": of_step[40]})
    assert again.trajectories_id == runs[4].trajectories_id


def test_the_analysis_agrees_with_the_samples_and_the_scores(trained: tuple[Store, Study]) -> None:
    """Families by shaping, steps in order; the other experiment's runs differ by more, and are another family."""
    store, _ = trained
    with Catalog(store) as catalog:
        found = analysis("training").run(catalog, "training").to_pandas()
        samples = catalog.query("SELECT s.*, m.run_label FROM samples s JOIN study_runs m USING (run)").to_pandas()
        scores = catalog.query("SELECT s.*, m.run_label FROM scores s JOIN study_runs m USING (run)").to_pandas()
    assert found[["family", "training_step"]].to_numpy().tolist() == [
        *(["learning plain", step] for step in (10, 25, 40)),
        *(["learning kts(0, 0.02)", step] for step in (10, 25, 40)),
        *(["again", step] for step in (5, 40)),
    ]
    scores = scores.set_index(["run_label", "metric"])
    for row in found.to_dict("records"):
        mine = samples[samples.run_label == row["run_label"]]
        for name in ("kpe", "kpe_early", "kpe_late"):
            half = stats.norm.ppf(0.975) * stats.sem(mine[name])
            expected = (mine[name].mean(), mine[name].mean() - half, mine[name].mean() + half)
            assert (row[name], row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx(expected)
        assert (row["n"], row["f_mem"]) == (len(mine), mine.memorized.mean())
        if row["family"] == "again":
            assert np.isnan(row["frechet"])
        else:
            assert row["frechet"] == scores.loc[(row["run_label"], "frechet"), "value"]
            assert row["frechet_high"] == scores.loc[(row["run_label"], "frechet"), "high"]


def test_the_report_draws_and_judges_it(trained: tuple[Store, Study]) -> None:
    report = build(*trained)
    (figure,) = (f for f in report.figures if f.name == "training")
    assert Image.open(io.BytesIO(figure.png)).convert("L").getextrema()[0] < 128
    judged = [f.run_label for f in report.findings if f.topic == "Longer training memorizes more"]
    assert judged == ["learning plain", "again"], "shaped runs are asked something else"


def test_a_card_tells_the_step_and_the_loss_up_to_it(trained: tuple[Store, Study]) -> None:
    store, _ = trained
    cards = [card for recipe in store.list("weights") if (card := WeightsBox(store, recipe).card()) is not None]
    curves = {card["training_step"]: card["curve"] for card in cards if card["kind"] == "network"}
    assert [[step for step, _ in curves[s]] for s in (5, 10, 25, 40)] == [
        list(range(1, s + 1)) for s in (5, 10, 25, 40)
    ]
    assert curves[40][:25] == curves[25]


def test_a_field_has_its_checkpoints_weights(trained: tuple[Store, Study]) -> None:
    """What a training stopped after so many steps gives, the schedule being constant."""
    from kpe_core.data.datasets import load

    store, here = trained
    cell = next(c for c in cells(here) if c.training_step == 10)
    run, prepared = resolve(store, cell), load(cell.data)
    assert run is not None
    assert isinstance(run.field, NetworkField)
    short = run.field.model_copy(update={"steps": 10})
    points = (prepared.points, prepared.point_labels, prepared.n_classes, prepared.shape)
    with one_thread():  # as every training of a study
        expected = training.train(short, *points).weights
    found = field_of(store, run, prepared).network.state_dict()  # type: ignore[attr-defined]
    assert all(torch.equal(found[name], w) for name, w in expected.items())


def test_killed_between_checkpoints(
    trained: tuple[Store, Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stored before stays as it is; what comes after is the same as if nothing had happened."""
    reference, here = trained
    monkeypatch.setattr(training, "SAVE_EVERY", 10)
    store = Store.create_or_open(str(tmp_path))
    (network,) = (t for t in missing_trainings(store, here) if t.kind == "network")
    assert isinstance(network.spec, NetworkField)
    arguments = (store, network.data, network.spec, network.steps)

    def box(where: Store, step: int) -> WeightsBox:
        return WeightsBox(where, weights_recipe(network.recipe, step))

    rate = training.learning_rate
    with (
        mock.patch.object(training, "learning_rate", side_effect=lambda s, step: rate(s, step) if step < 27 else die()),
        pytest.raises(Killed),
    ):
        network_weights(*arguments)
    assert [box(store, step).card() is not None for step in network.steps] == [True, True, True, False]
    kept = box(store, 25).card()
    last = network_weights(*arguments)
    assert last["resumed_at"] == 20
    assert box(store, 25).card() == kept
    assert box(store, 40).load_checkpoint() is None
    for step in network.steps:
        mine, theirs = box(store, step).card(), box(reference, step).card()
        assert mine is not None
        assert theirs is not None
        assert (mine["sha256"], mine["loss"], mine["curve"]) == (theirs["sha256"], theirs["loss"], theirs["curve"])


def test_a_state_beyond_a_checkpoint_asked_for_since_is_no_use(
    trained: tuple[Store, Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed with a state of step 20; a checkpoint at 12, asked for only then, is what it would have been."""
    reference, here = trained
    (network,) = (t for t in missing_trainings(Store.create_or_open(str(tmp_path)), here) if t.kind == "network")
    assert isinstance(network.spec, NetworkField)
    monkeypatch.setattr(training, "SAVE_EVERY", 20)
    save, store = WeightsBox.save_checkpoint, Store.open(str(tmp_path))

    def save_and_die(box: WeightsBox, state: dict[str, Any]) -> None:
        save(box, state)
        raise Killed

    with mock.patch.object(WeightsBox, "save_checkpoint", save_and_die), pytest.raises(Killed):
        network_weights(store, network.data, network.spec, (25, 40))
    assert network_weights(store, network.data, network.spec, (12, 25, 40))["resumed_at"] == 0
    for step in (25, 40):
        mine, theirs = (WeightsBox(s, weights_recipe(network.recipe, step)).card() for s in (store, reference))
        assert mine is not None
        assert theirs is not None
        assert mine["sha256"] == theirs["sha256"]


def test_a_checkpoint_asked_for_later_costs_no_more_than_its_steps(
    trained: tuple[Store, Study], tmp_path: Path
) -> None:
    store, _ = trained
    later = study(tmp_path, STUDY.replace("checkpoints: [10, 25]", "checkpoints: [10, 15]"))
    (network,) = missing_trainings(store, later)
    assert isinstance(network.spec, NetworkField)
    with mock.patch.object(training, "train", wraps=training.train) as train:
        network_weights(store, network.data, network.spec, network.steps)
    assert train.call_args.kwargs["until"] == 15
    assert list(train.call_args.kwargs["at"]) == [15]
    assert missing_trainings(store, later) == []


def test_plan_trains_once(tmp_path: Path) -> None:
    costs = plan(study(tmp_path), 20)
    assert [c.cell.training_step for c in costs.costs] == [10, 10, 25, 25, 40, 40, 5, 40]
    with mock.patch("kpe_core.stages.plan._training_seconds", return_value=7.0):
        assert plan(study(tmp_path), 20).training_seconds == 7.0 + 10.0


@pytest.mark.parametrize(
    ("data", "field", "why"),
    [
        ("dense_sparse", "{kind: unet}", r"a U-Net is for images; 'dense_sparse' as prepared has points of shape \(2,\)"),
        ("digits", "{kind: unet, patch: 1, multipliers: [1, 1, 2, 2]}", "4 multipliers and patch 1 leave 1 pixel"),
        ("digits", "{kind: unet, patch: 4}", "2 multipliers and patch 4 leave 1 pixel of a side of 8"),
    ],
)  # fmt: skip
def test_what_a_unet_cannot_take_is_said_before_anything_runs(tmp_path: Path, data: str, field: str, why: str) -> None:
    text = f"name: wrong\nexperiments: [{{name: e, data: {{name: {data}}}, fields: {field}}}]\n"
    with pytest.raises(UserError, match=why):
        require_possible(next(cells(study(tmp_path, text))))


def die() -> float:
    raise Killed
