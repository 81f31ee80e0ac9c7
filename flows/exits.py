"""How a process that ran Prefect ends: without a report of leaks."""

import atexit
import sys


def register() -> None:
    """Call before Prefect is imported: what it registers itself is done first, and needs its event loops."""
    atexit.register(_end_event_loops)


def dask_setup(worker: object) -> None:
    """The same in every Dask worker, which calls this as it starts (``preload``)."""
    register()


def _end_event_loops() -> None:
    """Prefect's loops are daemon threads. Alive at exit they keep what DuckDB then reports as leaked, in eighty lines."""
    if "prefect" not in sys.modules:
        return
    from prefect._internal.concurrency.threads import get_global_loop, get_run_sync_loop

    for loop in (get_global_loop(), get_run_sync_loop()):
        loop.shutdown()
        if loop.thread.is_alive():
            loop.thread.join(timeout=5)
