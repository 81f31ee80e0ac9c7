"""A study on workers, event by event, as ``flows.study`` and ``flows.fan_out`` run it.

The driver submits one task after the other, trainings first, and holds runs back until their network is trained. A task
starts when it is submitted, what it needs is done, and a worker is free; of those that could, the first submitted does. Its
bytes go through the one store first come, first served, while it computes: it ends with whichever ends last.
"""

import heapq
from dataclasses import dataclass
from itertools import count

from kpe_core.planning.work import Site, Work

_TRAIN, _SAMPLE, _MEASURE, _TABULATE = range(4)
_SUBMITTED, _DONE = range(2)


@dataclass(frozen=True)
class Outcome:
    """Seconds. ``computed``: until all tables are there, of which ``startup`` is the first part; ``tail`` follows."""

    startup: float
    measured: float
    """When the last shard was."""
    computed: float
    tail: float
    trained: float
    """When the last training was done; ``startup`` where there is none."""

    @property
    def wall(self) -> float:
        return self.computed + self.tail


def simulate(work: Work, site: Site) -> Outcome:
    """The course of ``work`` at ``site``. Deterministic; about 10 µs a task."""
    return _Course(work, site).run()


class _Course:
    def __init__(self, work: Work, site: Site) -> None:
        self.site, self.work = site, work
        self.kind: list[int] = []
        self.seconds: list[float] = []
        self.bytes: list[float] = []
        self.waits: list[int] = []
        """Tasks that must be done before."""
        self.next: list[list[int]] = []
        self.barrier: list[int] = []
        """The training that must be done before the driver submits it; -1: none."""
        self._lay_out()

    def _add(self, kind: int, seconds: float, size: float, after: list[int], barrier: int) -> int:
        task = len(self.kind)
        self.kind.append(kind)
        self.seconds.append(seconds)
        self.bytes.append(size)
        self.waits.append(len(after) + 1)  # one for its submission
        self.next.append([])
        self.barrier.append(barrier)
        for other in after:
            self.next[other].append(task)
        return task

    def _lay_out(self) -> None:
        spread, turn = self.work.spread, count()
        for seconds in self.work.trainings:
            self._add(_TRAIN, seconds / self.site.speed, 0.0, [], -1)
        for run in sorted(self.work.runs, key=lambda run: run.after is not None):
            wait = -1 if run.after is None else run.after
            times = []
            for shard in range(run.shards):
                rows = run.rows(shard)
                times.append((rows, rows * spread[next(turn) % len(spread)]))
            sampled = [
                self._add(_SAMPLE, run.sampling * t / self.site.speed, rows * run.written, [], wait)
                for rows, t in times
            ]
            measured = [
                self._add(_MEASURE, run.measuring * t, rows * run.read, [sampled[i]], wait)
                for i, (rows, t) in enumerate(times)
            ]
            self._add(_TABULATE, run.tabulating, 0.0, measured, wait)

    def run(self) -> Outcome:
        site, kind, waits = self.site, self.kind, self.waits
        shared = site.gpus == 0
        free = [site.workers, 0] if shared else [site.workers, site.gpus]
        cold = list(free)
        ready: list[list[int]] = [[], []]
        events: list[tuple[float, int, int]] = []
        done = [False] * len(self.work.trainings)
        submitted, blocked = 0, False
        store_free = now = trained = measured = site.startup
        if kind:
            events.append((site.startup + site.submission, _SUBMITTED, 0))
        while events:
            now, what, task = heapq.heappop(events)
            freed: list[int] = []
            if what == _SUBMITTED:
                freed.append(task)
                submitted = task + 1
                blocked = submitted < len(kind)
            else:
                free[self._room(task, shared)] += 1
                freed += self.next[task]
                if kind[task] == _MEASURE:
                    measured = now
                if kind[task] == _TRAIN:
                    done[task], trained = True, now
            if blocked and (self.barrier[submitted] < 0 or done[self.barrier[submitted]]):
                blocked = False
                heapq.heappush(events, (now + site.submission, _SUBMITTED, submitted))
            for other in freed:
                waits[other] -= 1
                if waits[other] == 0:
                    heapq.heappush(ready[self._room(other, shared)], other)
            for room, queue in enumerate(ready):
                while queue and free[room]:
                    task = heapq.heappop(queue)
                    free[room] -= 1
                    end = now + site.overhead + self.seconds[task]
                    if free[room] < cold[room]:  # one more at once than ever before: a worker's first
                        cold[room] = free[room]
                        end += site.warmup
                    if self.bytes[task]:
                        store_free = max(now, store_free) + self.bytes[task] / site.bandwidth
                        end = max(end, store_free)
                    heapq.heappush(events, (end, _DONE, task))
        return Outcome(site.startup, measured, now, sum(seconds for _, seconds in self.work.serial), trained)

    def _room(self, task: int, shared: bool) -> int:
        return 0 if shared or self.kind[task] >= _MEASURE else 1
