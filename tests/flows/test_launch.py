"""Studies one after the other in one process."""

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.states import Running

from flows.launch import launch
from flows.left_behind import mark_crashed, note_of
from kpe_core.store.sealed import sealed_json
from kpe_core.store.store import Store
from kpe_core.study.load import load_study
from kpe_core.study.specs import Study

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


@pytest.fixture
def again(tmp_path: Path) -> tuple[Study, Store]:
    (tmp_path / "again.yaml").write_text(STUDY)
    return load_study(str(tmp_path / "again.yaml")), Store.create_or_open(str(tmp_path / "store"))


@pytest.mark.usefixtures("api")
def test_what_sends_logs_and_events_is_not_made_anew_for_each(again: tuple[Study, Store]) -> None:
    """Prefect keeps for ever what it drained, with the whole flow run it was made in."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    def senders() -> int:
        return sum(isinstance(each, APILogWorker | EventsWorker) for each in gc.get_objects())

    study, store = again
    assert launch(study, store, None, 40) is None
    first = senders()
    assert first >= 2
    assert launch(study, store, None, 40) is None
    assert senders() == first


KILLED = """
import os, signal, sys
from prefect import flow
from flows.launch import launch, reserved
from kpe_core.study.load import load_study

@flow(name="part")
def part(name: str, study: dict, store: str, shard_size: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)

@flow(name="whole")
def whole() -> None:
    study = load_study(sys.argv[1])
    with reserved(study, sys.argv[2]) as store:
        launch(study, store, None, 40, part)

whole()
"""


def flow_runs() -> dict[UUID, FlowRun]:
    with get_client(sync_client=True) as client:
        return {run.id: run for run in client.read_flow_runs(limit=200)}


def names_and_states(before: dict[UUID, FlowRun]) -> dict[str | None, str]:
    """Of the flow runs since, by their names."""
    with get_client(sync_client=True) as client:
        flows = {run.flow_id: client.read_flow(run.flow_id).name for run in flow_runs().values()}
    return {flows[run.flow_id]: str(run.state_type.value) for i, run in flow_runs().items() if i not in before}


def test_a_killed_process_s_flow_runs_are_marked_by_the_study_s_next_run(
    again: tuple[Study, Store], tmp_path: Path, prefect_api: str, api: None
) -> None:
    study, store = again
    before = flow_runs()
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "again.yaml"), store.root],
        env=os.environ | {"PREFECT_API_URL": prefect_api}, capture_output=True,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert names_and_states(before) == {"whole": "RUNNING", "part": "RUNNING"}
    assert launch(study, store, None, 40) is None
    assert names_and_states(before) == {"whole": "CRASHED", "part": "CRASHED", "kpe study": "COMPLETED"}
    assert launch(study, store, None, 40) is None
    assert list(names_and_states(before).values()).count("CRASHED") == 2, "what ended is left as it is"


@pytest.mark.usefixtures("api")
def test_a_flow_run_that_is_tried_again_is_not_marked(again: tuple[Study, Store]) -> None:
    study, store = again

    @flow(name="twice")
    def twice() -> None:
        assert launch(study, store, None, 40) is None
        with get_client(sync_client=True) as client:  # as if the first attempt had been killed
            client.set_flow_run_state(UUID(store.read_json(note_of(study.name))["flow_run"]), Running(), force=True)
        mark_crashed(store, study.name)

    before = flow_runs()
    twice()
    assert names_and_states(before) == {"twice": "COMPLETED", "kpe study": "CRASHED"}


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("note", [b"nonsense", sealed_json({"flow_run": str(uuid4())}), sealed_json({"flow_run": "x"})])
def test_a_note_that_names_no_flow_run_is_in_nobody_s_way(again: tuple[Study, Store], note: bytes) -> None:
    study, store = again
    store.write(note_of(study.name), note)
    before = flow_runs()
    assert launch(study, store, None, 40) is None
    assert names_and_states(before) == {"kpe study": "COMPLETED"}
