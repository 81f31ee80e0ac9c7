"""Flow runs of processes that were killed: a Prefect server shows them as running until somebody says otherwise."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

from kpe_core.errors import UserError
from kpe_core.store.store import Store

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

MESSAGE = "its process ended without a word; a later run of the study goes on with what it had computed"

log = logging.getLogger(__name__)


def note_of(study: str) -> str:
    """Where the study's last flow run is named."""
    return f"locks/running-{study}.json"


def mark_crashed(store: Store, study: str) -> None:
    """Mark the study's last flow run as crashed where the server takes it for running.

    Whoever holds the study's lock (``flows.launch.reserved``) knows that it is not, and the note says which it was: its
    parameters would not do, since the same path may be another store on another machine. Object stores have no lock,
    and no note. What goes wrong here fails no run: it is logged.
    """
    if not store.is_local or not store.exists(note_of(study)):
        return
    try:
        _mark(UUID(store.read_json(note_of(study))["flow_run"]))
    except Exception as error:
        log.warning("the last flow run of study %s is not looked at: %s: %s", study, type(error).__name__, error)


def taking_note(store: Store, study: str) -> Callable[..., None]:
    """What names the study's flow run in the store, once it is running."""

    def take_note(flow: object, run: "FlowRun", state: object) -> None:
        if store.is_local:
            with contextlib.suppress(OSError, UserError):  # where nothing can be written, nothing is computed either
                store.write_json(note_of(study), {"flow_run": str(run.id)})

    return take_note


def _mark(flow_run_id: UUID) -> None:
    """It, and those it was part of in its process; not those that this one is part of, such as one that is tried again."""
    from prefect.client.orchestration import get_client
    from prefect.context import FlowRunContext
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        try:
            left = client.read_flow_run(flow_run_id)
        except ObjectNotFound:  # on another server
            return
        if left.state is None or left.state.is_final():
            return
        context = FlowRunContext.get()
        ours = {run.id for run in _line(client, context.flow_run)} if context and context.flow_run else set()
        for run in _line(client, left):
            if run.id not in ours and run.state is not None and not run.state.is_final():
                crashed: Any = Crashed(message=MESSAGE)
                client.set_flow_run_state(run.id, crashed, force=True)


def _line(client: "SyncPrefectClient", run: "FlowRun") -> "Iterator[FlowRun]":
    """The flow run and those it is part of, as far as they are one process's: a deployment's run has its own."""
    yield run
    while run.parent_task_run_id is not None and run.deployment_id is None:
        above = client.read_task_run(run.parent_task_run_id).flow_run_id
        if above is None:
            return
        run = client.read_flow_run(above)
        yield run
