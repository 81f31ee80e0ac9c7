"""Models trained elsewhere, through the stages."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import UserError
from kpe_core.fields.pretrained.field import pretrained_field
from kpe_core.stages.plan import plan
from kpe_core.stages.requirements import require_possible
from kpe_core.stages.resolve import field_of, resolve
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.runs import cells
from kpe_core.study.specs import Study
from tests.conftest import run_serially
from tests.kpe_core.fields.pretrained.written import authors_file, torchcfm_file


def study(field: dict, **sampling: object) -> Study:
    choices = {"n_samples": 12, "nfe": 4, "batch": 6, "states": {"keep": "endpoints"}} | sampling
    experiment = {
        "name": "foreign",
        "data": {"name": "digits", "n_train": 64, "prepare": {"scaling": "symmetric"}},
        "fields": {"kind": "pretrained"} | field,
        "sampling": choices,
        "measure": {"bootstrap": 100, "probe": 0},
    }
    return Study.model_validate({"name": "pretrained", "experiments": [experiment]})


def run(spec: Study, store: Store) -> np.ndarray:
    (only,) = run_serially(spec, store, shard_size=6)
    return np.asarray(Trajectories(store, only.trajectories_id).group()["x1"][:])  # type: ignore[index]


def test_a_torchcfm_checkpoint_is_sampled_end_to_end(tmp_path: Path) -> None:
    """Its averaged weights by default, and the same Euler steps as written out here."""
    path = torchcfm_file(tmp_path / "otcfm_cifar10_weights_step_400000.pt")
    store = Store.create_or_open(str(tmp_path / "store"))
    spec = study({"layout": "torchcfm", "path": str(path), "head_channels": 32})
    (cell,) = cells(spec)
    found = resolve(store, cell)
    assert found is not None
    x1 = run(spec, store)

    group = Trajectories(store, found.trajectories_id).group()
    x = torch.from_numpy(np.asarray(group["x"][:, 0])).double().reshape(12, -1)  # type: ignore[index]
    field = pretrained_field(cell.field, (8, 8), found.weights)  # type: ignore[arg-type]
    energy = torch.zeros(12, dtype=torch.float64)
    for i in range(4):
        v = field.evaluate(x, i / 4).velocity.double()
        energy += 0.5 * v.square().sum(1) / 4
        x = x + v / 4
    assert np.allclose(x1.reshape(12, -1), x.numpy(), atol=1e-4)
    with Catalog(store) as catalog:
        (row,) = catalog.query("SELECT field, weights, bridge, nfe_spent FROM runs").to_pylist()
    assert row == {"field": "pretrained", "weights": found.weights, "bridge": "linear", "nfe_spent": 5.0}
    assert np.allclose(np.asarray(group["kpe"][:]), energy.numpy(), rtol=1e-5)  # type: ignore[index]
    other = run(study({"layout": "torchcfm", "path": str(path), "head_channels": 32, "entry": "net_model"}), store)
    assert not np.allclose(other, x1)


def test_identity_is_the_content_not_the_place(tmp_path: Path) -> None:
    store = Store.create_or_open(str(tmp_path / "store"))
    here, there = authors_file(tmp_path / "Model_250"), tmp_path / "elsewhere.pt"
    shutil.copy(here, there)
    ids = []
    for path in (here, there):
        (cell,) = cells(study({"layout": "authors_unet", "path": str(path)}))
        found = resolve(store, cell)
        assert found is not None
        ids.append(found.run_id)
    assert ids[0] == ids[1]
    tensors = torch.load(here, weights_only=True)
    tensors["module.init_conv.bias"] += 1e-3
    torch.save(tensors, here)
    (cell,) = cells(study({"layout": "authors_unet", "path": str(here)}))
    changed = resolve(store, cell)
    assert changed is not None
    assert changed.run_id != ids[0]


def test_a_file_that_changed_under_a_run_is_refused(tmp_path: Path) -> None:
    from kpe_core.data.datasets import load

    store, path = Store.create_or_open(str(tmp_path / "store")), authors_file(tmp_path / "Model_250")
    (cell,) = cells(study({"layout": "authors_unet", "path": str(path)}))
    found = resolve(store, cell)
    assert found is not None
    tensors = torch.load(path, weights_only=True)
    tensors["module.init_conv.bias"] += 1e-3
    torch.save(tensors, path)
    with pytest.raises(
        UserError, match=r"run foreign: .*Model_250 has changed: its SHA-256 was .* start the study again"
    ):
        field_of(store, found, load(found.data))


def test_the_plan_names_what_is_missing_before_anything_runs(tmp_path: Path) -> None:
    spec = study({"layout": "torchcfm", "path": str(tmp_path / "nowhere.pt")})
    with pytest.raises(
        UserError, match=r"^the model \(layout torchcfm\) is missing; looked for .*nowhere.pt\. It comes from .*GitHub"
    ):
        plan(spec, 500)


def test_the_plan_names_everything_that_is_missing(tmp_path: Path) -> None:
    """Data, models and weights of extractors, each once, however many runs want them."""
    spec = study({"layout": "torchcfm", "path": str(tmp_path / "nowhere.pt")}, nfe=[4, 8])
    document = spec.model_dump(mode="json")
    document["experiments"].append(document["experiments"][0] | {"name": "second"})
    document["experiments"][1]["data"] = {"name": "cifar10", "root": str(tmp_path)}
    document["experiments"][1]["measure"] = {
        "spaces": [{"extractor": "inception", "weights": str(tmp_path / "no.pth")}]
    }
    with pytest.raises(UserError) as refused:
        plan(Study.model_validate(document), 500)
    lines = str(refused.value).split("\n")
    whats = ["the model (layout torchcfm)", "data set 'cifar10'", "space inception, weights of InceptionV3"]
    assert [line[: len(what)] for line, what in zip(lines, whats, strict=True)] == whats
    assert all("looked for /" in line and (" comes from " in line or " It is " in line) for line in lines)


def test_the_plan_times_the_model(tmp_path: Path) -> None:
    path = authors_file(tmp_path / "Model_250")
    (cost,) = plan(study({"layout": "authors_unet", "path": str(path)}), 500).costs
    assert cost.evaluations == 12 * 4
    assert cost.sampling_seconds > 0


def test_a_worker_loads_a_model_once(tmp_path: Path) -> None:
    store, path = Store.create_or_open(str(tmp_path / "store")), authors_file(tmp_path / "Model_250")
    before = pretrained_field.cache_info().misses
    run(study({"layout": "authors_unet", "path": str(path)}), store)
    assert pretrained_field.cache_info().misses == before + 1


GUIDED = {"n_classes": 10, "null_label": 10}


def test_guided_sampling_by_class(tmp_path: Path) -> None:
    """w = 1 is the class's own field; others differ from it, and cost twice."""
    path = torchcfm_file(tmp_path / "model.pt", classes=11)
    store = Store.create_or_open(str(tmp_path / "store"))
    field = {"layout": "torchcfm", "path": str(path), "head_channels": 32, **GUIDED}
    plain, guided = run_serially(study(field, guidance=[1.0, 4.0]), store, shard_size=6)
    a, b = (Trajectories(store, r.trajectories_id) for r in (plain, guided))
    assert np.array_equal(a.group()["label"][:], np.arange(12) % 10)  # type: ignore[index]
    assert not np.allclose(a.group()["x1"][:], b.group()["x1"][:])  # type: ignore[index]
    assert 2 * a.marker(0)["evaluations"] == b.marker(0)["evaluations"]


def test_fewer_classes_than_the_data_have(tmp_path: Path) -> None:
    path = torchcfm_file(tmp_path / "model.pt", classes=5)
    field = {"layout": "torchcfm", "path": str(path), "head_channels": 32, "n_classes": 5}
    (cell,) = cells(study(field))
    with pytest.raises(UserError, match="asked for by class, up to 9, and the model has n_classes = 5; choose"):
        require_possible(cell)
