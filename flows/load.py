"""What a Dask scheduler knows of its workers' load."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kpe_core.telemetry.table import ClusterLoad, WorkerLoad

if TYPE_CHECKING:
    from distributed import Client

SECONDS = 10.0
"""To wait for a scheduler's answer."""


def load_of(client: "Client", own_gpus: bool) -> ClusterLoad:
    """Ask the scheduler, which answers from memory: no worker is disturbed.

    Raises
    ------
    TimeoutError, OSError
        when it does not answer.
    """

    async def asked() -> Any:
        return await client.run_on_scheduler(_question())  # which cannot be given a time itself

    told = client.sync(asked, callback_timeout=SECONDS)
    return ClusterLoad(tuple(WorkerLoad(**worker) for worker in told["workers"]), told["waiting"], own_gpus)


def _question() -> Callable[..., dict[str, Any]]:
    # A function inside a function travels whole: a scheduler elsewhere need not have this package.
    def ask(dask_scheduler: Any) -> dict[str, Any]:
        workers = []
        for worker in dask_scheduler.workers.values():
            # A worker has its next tasks beside those it executes; its own word on them would be a heartbeat old.
            executing = min(len(worker.processing), worker.nthreads)
            gpu = worker.metrics.get("gpu") or {}
            use = worker.metrics.get("gpu_utilization", gpu.get("utilization"))
            workers.append({
                "name": str(worker.name), "memory": int(worker.metrics.get("memory", 0)),
                "executing": executing, "queued": len(worker.processing) - executing,
                "gpu_memory": worker.metrics.get("gpu_memory_used", gpu.get("memory-used")),
                "gpu_use": None if use is None else use / 100,
            })  # fmt: skip
        states = [task.state for task in dask_scheduler.tasks.values()]
        waiting = sum(state in ("waiting", "queued", "no-worker") for state in states)
        return {"workers": workers, "waiting": waiting}

    return ask
