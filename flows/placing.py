"""Each task where there is room for its kind: GPU workers sample, workers with memory measure and tabulate."""

import contextlib
from collections.abc import Iterable
from typing import Any

import dask
from prefect import Task
from prefect_dask import DaskTaskRunner
from prefect_dask.task_runners import PrefectDaskFuture

from tasks.rooms import ROOMS


class PlacingTaskRunner(DaskTaskRunner):
    """Dask's task runner for tasks that are tagged with the room they need.

    A room is a Dask resource (``dask worker --resources "sampling=1"``). Where some worker offers it, only such workers
    take its tasks; a room that nobody offers is everywhere.

    A task that takes longer than ``timeout`` seconds is given up, and tried again like one that failed.
    """

    def __init__(self, address: str, offered: Iterable[str] = (), timeout: float | None = None) -> None:
        super().__init__(address=address)
        self.offered = frozenset(offered)
        self.timeout = timeout

    def duplicate(self) -> "PlacingTaskRunner":
        assert self.address is not None
        return type(self)(self.address, self.offered, self.timeout)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, PlacingTaskRunner)
            and super().__eq__(other)
            and (self.offered, self.timeout) == (other.offered, other.timeout)
        )

    __hash__ = None  # type: ignore[assignment]

    def submit(self, task: "Task[Any, Any]", *args: Any, **kwargs: Any) -> PrefectDaskFuture[Any]:  # type: ignore[override]
        if self.timeout is not None:
            task = task.with_options(timeout_seconds=self.timeout)
        rooms = task.tags & self.offered & ROOMS
        placed = dask.annotate(resources=dict.fromkeys(rooms, 1)) if rooms else contextlib.nullcontext()
        with placed:
            return super().submit(task, *args, **kwargs)
