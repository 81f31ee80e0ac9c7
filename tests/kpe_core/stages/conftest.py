"""A store with few objects: an exact run, and a network's plain and shaped runs that share weights and features."""

import hashlib
import shutil
from pathlib import Path

import pytest

from kpe_core.stages.resolve import resolve
from kpe_core.store.store import Store
from kpe_core.study.load import load_study
from kpe_core.study.runs import Run, cells
from kpe_core.study.specs import Study
from tests.conftest import run_serially

SMALL = """
name: small
title: A small study
experiments:
  - name: planar
    data: {name: dense_sparse, n_train: 60}
    fields: {kind: exact}
    sampling: {n_samples: 40, nfe: 10, batch: 20, states: {keep: endpoints}}
  - name: shaped
    data: {name: digits, n_train: 64}
    fields: {kind: mlp, width: 16, depth: 1, steps: 50, batch: 16}
    sampling: {n_samples: 20, nfe: 10, batch: 20, shapings: [{}, {beta0: 0.02}], states: {keep: none}}
    measure: {spaces: [{extractor: pca, components: 4}], bootstrap: 100}
"""
OTHER_MEASURES = "experiments.planar.measure.densities=[{estimator: knn, k: 3}]"
"""Another run on the same trajectories."""


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("studies") / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="session")
def small(small_file: Path) -> Study:
    return load_study(str(small_file))


@pytest.fixture(scope="session")
def small_store(small: Study, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A finished store of the small study. Read only, please."""
    store = Store.create_or_open(str(tmp_path_factory.mktemp("small-store")))
    run_serially(small, store, shard_size=20)
    return store


@pytest.fixture(scope="session")
def small_runs(small: Study, small_store: Store) -> list[Run]:
    """planar, shaped plain, shaped."""
    found = [resolve(small_store, cell) for cell in cells(small)]
    return [run for run in found if run is not None]


@pytest.fixture
def store(small_store: Store, tmp_path: Path) -> Store:
    """The same, to change."""
    shutil.copytree(small_store.root, tmp_path / "store")
    return Store.open(str(tmp_path / "store"))


def content(store: Store) -> dict[str, str]:
    """SHA-256 of every object, but for locks."""
    return {
        o.path: hashlib.sha256(store.read(o.path)).hexdigest()
        for o in store.objects("")
        if not o.path.startswith("locks/")
    }
