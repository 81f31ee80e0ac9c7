"""All that is observed of a flow run on a cluster: telemetry while it goes on, a performance report once it is through."""

import contextlib
import logging
from collections.abc import Iterator

from flows.cluster import Cluster
from kpe_core.store.store import Store
from kpe_core.study.specs import Study

CONNECT_SECONDS = 10

log = logging.getLogger(__name__)


@contextlib.contextmanager
def observed(store: Store, study: Study, workers: Cluster) -> Iterator[None]:
    """Observe the cluster for the length of the block. What goes wrong with that fails no run: it is logged."""
    from distributed import Client
    from prefect.settings import PREFECT_API_URL

    from flows.performance import Performance
    from flows.server import ui_url
    from flows.telemetry import telemetry

    try:
        # Not the default client: that one is the flow's.
        client = Client(workers.address, timeout=CONNECT_SECONDS, set_as_default=False)
    except Exception as error:
        log.warning("study %s is not observed: %s: %s; the run goes on", study.name, type(error).__name__, error)
        yield
        return
    try:
        performance = Performance(client)
        api = PREFECT_API_URL.value()
        with telemetry(store, study, workers, client, ui_url(api) if api else None):
            yield
        performance.keep(store, study.name)
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=CONNECT_SECONDS)
