"""A study small enough to tune within a test: the exact field of a 2-D set, on which landing lowers both objectives."""

from pathlib import Path

import pytest

from kpe_core.study.load import load_study
from kpe_core.study.specs import Study

PICK = """
name: pick
title: A plain run to be tuned
experiments:
  - name: planar
    data: {name: dense_sparse, n_train: 60}
    fields: {kind: exact}
    sampling: {n_samples: 160, nfe: 10, batch: 20, states: {keep: none}}
    measure: {spaces: [{extractor: pixels}], densities: [], bootstrap: 100, probe: 0}
  - name: spaceless
    data: {name: sandwich, n_train: 60}
    fields: {kind: exact}
    sampling: {n_samples: 160, nfe: [10, 20], batch: 20, shapings: [{}, {beta0: 0.01}]}
    measure: {densities: [], probe: 0}
tune: {trials: 12, generation: 4}
"""


@pytest.fixture(scope="session")
def pick_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pick") / "pick.yaml"
    path.write_text(PICK)
    return path


@pytest.fixture(scope="session")
def pick(pick_file: Path) -> Study:
    return load_study(str(pick_file))
