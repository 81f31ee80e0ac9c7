"""Each task where there is room for its kind: GPU workers sample, workers with memory measure and tabulate."""

import contextlib
from collections.abc import Iterable
from typing import Any

import dask
from prefect import Task
from prefect_dask import DaskTaskRunner
from prefect_dask.task_runners import PrefectDaskFuture

from flows.dask_client import DaskClient
from flows.limits import tag
from tasks.rooms import ROOM_OF


class PlacingTaskRunner(DaskTaskRunner):
    """Dask's task runner for tasks that need room of a kind (``tasks.rooms``).

    A room is a Dask resource (``dask worker --resources "sampling=1"``). Where some worker offers it, only such workers
    take its tasks; a room that nobody offers is everywhere.

    A task that takes longer than ``timeout`` seconds is given up, and tried again like one that failed. Kinds in
    ``limited`` are tagged for Prefect's limits; no other is, since each tagged task asks the server for its turn.
    """

    def __init__(
        self,
        address: str,
        offered: Iterable[str] = (),
        timeout: float | None = None,
        limited: Iterable[str] = (),
    ) -> None:
        super().__init__(address=address)
        self.offered = frozenset(offered)
        self.timeout = timeout
        self.limited = frozenset(limited)

    @property
    def client(self) -> DaskClient:
        found = self._client
        if not isinstance(found, DaskClient):
            assert self.address is not None
            found = self._client = self._exit_stack.enter_context(DaskClient(self.address))
        return found

    def duplicate(self) -> "PlacingTaskRunner":
        assert self.address is not None
        return type(self)(self.address, self.offered, self.timeout, self.limited)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, PlacingTaskRunner)
            and super().__eq__(other)
            and (self.offered, self.timeout, self.limited) == (other.offered, other.timeout, other.limited)
        )

    __hash__ = None  # type: ignore[assignment]

    def submit(self, task: "Task[Any, Any]", *args: Any, **kwargs: Any) -> PrefectDaskFuture[Any]:  # type: ignore[override]
        if self.timeout is not None:
            task = task.with_options(timeout_seconds=self.timeout)
        if task.name in self.limited:
            task = task.with_options(tags={tag(task.name)})
        room = ROOM_OF.get(task.name)
        placed = dask.annotate(resources={room: 1}) if room in self.offered else contextlib.nullcontext()
        with placed:
            return super().submit(task, *args, **kwargs)
