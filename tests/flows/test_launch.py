"""Studies one after the other in one process."""

import gc
from pathlib import Path

import pytest

from kpe_core.store.store import Store
from kpe_core.study.load import load_study

STUDY = """
name: again
title: Again and again
experiments:
  - name: planar
    data: {name: dense_sparse, n_train: 60}
    fields: {kind: exact}
    sampling: {n_samples: 40, nfe: 10, batch: 20}
    measure: {spaces: [{extractor: pixels}], densities: [], bootstrap: 100, probe: 0}
"""


@pytest.mark.usefixtures("api")
def test_what_sends_logs_and_events_is_not_made_anew_for_each(tmp_path: Path) -> None:
    """Prefect keeps for ever what it drained, with the whole flow run it was made in."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    from flows.launch import launch

    def senders() -> int:
        return sum(isinstance(each, APILogWorker | EventsWorker) for each in gc.get_objects())

    (tmp_path / "again.yaml").write_text(STUDY)
    study = load_study(str(tmp_path / "again.yaml"))
    store = Store.create_or_open(str(tmp_path / "store"))
    assert launch(study, store, None, 40) is None
    first = senders()
    assert first >= 2
    assert launch(study, store, None, 40) is None
    assert senders() == first
