"""Features of real data: computed once for all runs that want them, part by part, the same after a kill."""

from pathlib import Path

import numpy as np
import pytest
import torch

from kpe_core.data.datasets import load
from kpe_core.errors import StoreDamaged
from kpe_core.features.extractor import extract
from kpe_core.stages import features as stage
from kpe_core.stages.features import compute_all, compute_features, create_features, extractor_of, real_features
from kpe_core.stages.manifest import register
from kpe_core.stages.resolve import resolve
from kpe_core.stages.tabulate import table_path
from kpe_core.stages.train import space_weights
from kpe_core.store.store import Store
from kpe_core.study.load import load_study
from kpe_core.study.runs import Run, cells
from kpe_core.study.specs import MeasureSpec, PcaSpace
from tests.conftest import run_serially

STUDY = """
name: seen
experiments:
  - name: seen
    data: {name: digits, n_train: 200}
    fields: {kind: exact}
    sampling: {n_samples: 60, nfe: 5, batch: 20, states: {keep: none}, shapings: [{}, {beta0: 0.02}]}
    measure:
      spaces:
        - {extractor: pixels}
        - {extractor: pca, components: 8, semantics: prototypes}
        - {extractor: efficientnet, side: 32}
      densities: [{estimator: knn}, {estimator: knn, space: pca}, {estimator: kde, space: efficientnet}]
      bootstrap: 100
      probe: 0
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[Run]]:
    folder = tmp_path_factory.mktemp("seen")
    (folder / "seen.yaml").write_text(STUDY)
    store = Store.create_or_open(str(folder / "store"))
    return store, run_serially(load_study(str(folder / "seen.yaml")), store, shard_size=40)


def test_each_space_has_its_own_tables_and_scores(done: tuple[Store, list[Run]]) -> None:
    store, (run, _) = done
    table = {name: store.read_table(table_path(run, name)).to_pandas() for name in ("scores", "semantics", "features")}
    densities = store.read_table(table_path(run, "densities")).to_pandas()
    assert set(densities["space"]) == {"data", "pca", "efficientnet"}
    scores = table["scores"].set_index(["metric", "space"])["value"]
    for space in ("data", "pca", "efficientnet"):
        assert {"frechet", "kid", "precision", "recall", "density", "coverage"} <= set(scores.xs(space, level=1).index)
    assert set(table["features"]["space"]) == {"pca", "efficientnet"}
    assert table["features"].groupby("space")["features"].first().map(len).to_dict() == {"pca": 8, "efficientnet": 1280}
    assert set(table["semantics"]["space"]) == {"pca", "efficientnet"}
    assert scores["accuracy", "pca"] > 0.8, "digits lie near their own class's mean"
    assert ("accuracy", "efficientnet") not in scores, "ImageNet's classes are not the data's"
    samples = store.read_table(table_path(run, "samples")).to_pandas()
    first = table["semantics"].query("space == 'pca'").sort_values("sample")
    assert samples["score"].to_numpy() == pytest.approx(first["score"].to_numpy())


def test_features_are_shared_by_runs_and_computed_once(
    done: tuple[Store, list[Run]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, runs = done
    assert len(store.list("features")) == 2
    monkeypatch.setattr(stage, "extract", None)
    for run in runs:
        compute_all(store, run)


def test_features_are_the_extractors(done: tuple[Store, list[Run]]) -> None:
    store, (run, _) = done
    prepared = load(run.data)
    for space in run.measure.spaces:
        extractor = extractor_of(store.url, run.data, space, run.weights_of(space.name))
        expected = extract(extractor, torch.from_numpy(np.asarray(prepared.train[:70])))
        assert np.allclose(real_features(store, run, space, 70), expected.numpy(), atol=1e-5)
        assert len(real_features(store, run, space)) == len(prepared.train)


def test_a_killed_computation_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "ROWS_FITTED", 512)
    (tmp_path / "seen.yaml").write_text(STUDY)
    (cell, _) = cells(load_study(str(tmp_path / "seen.yaml")))
    measure = MeasureSpec(spaces=(PcaSpace(extractor="pca", components=8),))
    cell = cell.model_copy(update={"measure": measure})
    store = Store.create_or_open(str(tmp_path / "store"))
    (space,) = measure.spaces
    assert resolve(store, cell) is None, "nothing is fitted yet"
    assert isinstance(space, PcaSpace)
    space_weights(store, cell.data, space)
    run = resolve(store, cell)
    assert run is not None
    register(store, run)
    found = create_features(store, run, space)
    assert found.missing() == [0, 1, 2, 3]
    compute_features(store, run, space, 2)
    with pytest.raises(StoreDamaged, match=r"parts \[0, 1\] of these features were never computed"):
        real_features(store, run, space, 600)
    with monkeypatch.context() as m:  # killed between a part and its marker
        m.setattr(Store, "write_json", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            compute_features(store, run, space, 0)
    assert found.missing() == [0, 1, 3]
    compute_all(store, run)
    assert found.missing() == []
    prepared = load(cell.data)
    extractor = extractor_of(store.url, cell.data, space, run.weights_of("pca"))
    whole = extract(extractor, torch.from_numpy(np.asarray(prepared.train)))
    assert np.allclose(real_features(store, run, space), whole.numpy(), atol=1e-6)
