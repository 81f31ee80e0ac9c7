"""Workers of other machines take part when they reach the store and the server and compute this version's numbers."""

import contextlib
import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from distributed import Client, Worker, WorkerPlugin

from flows.server import answers
from kpe_core.errors import UserError
from kpe_core.identity import NUMERICS_VERSION
from kpe_core.store.store import Store
from kpe_core.urls import without_credentials

CONNECT_SECONDS = 10

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Agreement:
    """What a worker is held to."""

    store: str
    """URL, where it finds ``token`` in ``folder`` and can write."""
    folder: str
    token: str
    server: str | None
    """URL of Prefect's API."""
    numerics: int = NUMERICS_VERSION

    def objection(self) -> str | None:
        """Why the worker that calls this may not take part; None where nothing speaks against it."""
        if self.numerics != NUMERICS_VERSION:
            return (
                f"it computes numbers of version {NUMERICS_VERSION}, not {self.numerics}: install the same kpe-pipeline"
            )
        try:
            store = Store.open(self.store)
            if store.read(f"{self.folder}/token").decode() != self.token:
                return f"another store lies at {self.store} there; give one that all machines see"
            store.write(f"{self.folder}/{uuid.uuid4().hex}", b"")
        except Exception as error:  # whatever a file system or an object store says
            why = " ".join(str(error).split())[:200]
            return f"it cannot use the store {self.store} ({why}); give one that all machines see and may write to"
        if self.server is not None and not answers(self.server):
            told = without_credentials(self.server)
            return (
                f"the Prefect server {told} does not answer there; set PREFECT_API_URL to one that all machines reach"
            )
        return None


class TakesNoPart(BaseException):
    """Ends a worker that is starting, and its nanny: of a plugin's ordinary errors Dask makes a line in a log."""


class Joining(WorkerPlugin):
    """Holds workers to it that join later: one that may not take part does not start, and its log says why."""

    def __init__(self, agreement: Agreement) -> None:
        self.agreement = agreement
        self.name = f"kpe-{agreement.token}"

    def setup(self, worker: Worker) -> None:
        if (objection := self.agreement.objection()) is not None:
            raise TakesNoPart(objection)


@contextlib.contextmanager
def agreed(store: Store, scheduler: str, server: str | None) -> Iterator[None]:
    """Hold the scheduler's workers to it, those of now and, for the length of the block, those that join; waits for one.

    Raises
    ------
    UserError
        when a worker may not take part; names it and says why.
    """
    folder = f"locks/workers-{uuid.uuid4().hex}"
    agreement = Agreement(store.url, folder, uuid.uuid4().hex, server)
    store.write(f"{folder}/token", agreement.token.encode())
    with contextlib.ExitStack() as stack:
        stack.callback(store.remove, folder)
        client = stack.enter_context(Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False))
        if not client.scheduler_info(n_workers=-1)["workers"]:
            log.warning("no worker has come to %s yet; waiting for one", scheduler)
            client.wait_for_workers(1)
        for worker, objection in client.run(agreement.objection, on_error="return").items():
            if objection is not None:
                raise UserError(f"worker {worker} takes no part: {_sentence(objection)}")
        joining = Joining(agreement)
        client.register_plugin(joining)
        stack.callback(_let_go, client, joining.name)
        yield


def _sentence(objection: object) -> str:
    if isinstance(objection, BaseException):
        return f"it cannot import this kpe-pipeline ({objection}); install the same version there, with the same extras"
    return str(objection)


def _let_go(client: Client, plugin: str) -> None:
    with contextlib.suppress(Exception):  # the scheduler may be gone, and the plugin with it
        client.unregister_worker_plugin(plugin)
