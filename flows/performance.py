"""Dask's performance report of a flow run, kept with its study as one page that loads nothing."""

import logging
import time
from typing import TYPE_CHECKING, Any

from kpe_core.store.sealed import sealed_html
from kpe_core.store.store import Store

if TYPE_CHECKING:
    from distributed import Client

SECONDS = 60.0
"""To wait for the scheduler, which draws the report."""
ICON = '<link rel="shortcut icon" href="https://docs.dask.org/en/latest/_static/images/favicon.ico" />'
ALONE = (
    '<link rel="icon" href="data:,"><meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:; font-src data:\">"
)
"""In place of Dask's icon, which lies on its web site; whatever else the page might fetch, browsers then refuse."""

log = logging.getLogger(__name__)


class Performance:
    """Reports on every task of the scheduler from now on, whichever client submits it."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._start = time.time()
        self._count: int | None = None
        try:
            client.get_task_stream(start=0, stop=0)  # from here on the scheduler remembers its tasks
            self._count = int(client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.monitor.count))
        except Exception as error:
            log.warning("no performance report: %s: %s; the run goes on", type(error).__name__, error)

    def keep(self, store: Store, study: str) -> None:
        """Write the report in the place of the last one; what goes wrong is logged."""
        if self._count is None:
            return
        try:
            page = alone(self._client.sync(self._report, callback_timeout=SECONDS))
            store.write(path_of(study), sealed_html(page))
        except Exception as error:
            log.warning("no performance report of study %s: %s: %s", study, type(error).__name__, error)

    async def _report(self) -> Any:
        # What distributed.performance_report asks, which works only with a process's default client.
        scheduler: Any = self._client.scheduler
        return await scheduler.performance_report(start=self._start, last_count=self._count, code="", mode="inline")


def path_of(study: str) -> str:
    return f"studies/{study}/performance.html"


def alone(page: str) -> str:
    """The page so that no browser fetches anything for it."""
    return page.replace(ICON, ALONE, 1) if ICON in page else page.replace("<head>", f"<head>{ALONE}", 1)
