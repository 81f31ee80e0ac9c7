from pathlib import Path

import pytest

STUDY = """\
name: trial
title: A trial
experiments:
  - name: plain
    data: {name: digits, n_train: 100}
    fields: {kind: exact}
    sampling: {n_samples: 50, nfe: 20}
  - name: sweep
    data: {name: dense_sparse, prepare: {scale: 2}}
    fields:
      - {kind: exact}
      - {kind: mlp, width: 16, steps: 10}
    sampling:
      solvers: [euler, heun]
      nfe: [10, 20]
      shapings: [{}, {alpha0: 0.02}, {beta0: 0.02, landing: linear}]
    expect: nothing in particular
"""


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    """A study of two experiments, as a user would write it."""
    file = tmp_path / "trial.yaml"
    file.write_text(STUDY, encoding="utf-8")
    return file
