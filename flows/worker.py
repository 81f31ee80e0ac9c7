"""What a Dask worker does before its first task (``dask worker --preload flows.worker``)."""

import importlib
import threading

from flows import exits


def dask_setup(worker: object) -> None:
    """Dask calls this as a worker starts, and waits for it."""
    exits.register()
    threading.Thread(target=_import_tasks, daemon=True, name="imports").start()


def _import_tasks() -> None:
    """What tasks are made of takes seconds to import: torch above all. Their flow is still about to begin."""
    for name in ("sample", "measure"):
        importlib.import_module(f"tasks.{name}")
