"""For every number of workers: how long, what holds it up, and whether other shards would help."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kpe_core.planning.simulation import Outcome, simulate
from kpe_core.planning.work import Site, Work

SAMPLING, MEASURING, OVERHEAD = "sampling", "measuring", "overhead of tasks"
STORE, SUBMISSION = "store bandwidth", "driver's submission"
TRAINING, SERIAL, SHARDS = "training", "start and serial tail", "too few shards"
WORTH_SAYING = 0.9
"""Other shards are advised where they take less than this share of the time."""


@dataclass(frozen=True)
class Forecast:
    """``shares``: of the wall time. They overlap, where things go on at once, so that they need not add up to 1."""

    site: Site
    outcome: Outcome
    one: float
    """Wall seconds of one worker (or GPU)."""
    shares: dict[str, float]
    better_size: int | None
    better_wall: float | None

    @property
    def speedup(self) -> float:
        return self.one / self.outcome.wall

    @property
    def efficiency(self) -> float:
        return self.speedup / (self.site.gpus or self.site.workers)

    @property
    def bottleneck(self) -> str:
        """What takes the largest share."""
        return max(self.shares, key=lambda name: self.shares[name])


def forecasts(work: Work, sites: Sequence[Site], resized: Callable[[int], Work] | None = None) -> list[Forecast]:
    """One for each site; ``resized``: the same work in shards of about so many samples, to look for better ones."""
    if not sites:
        return []
    first = sites[0]
    one = simulate(work, replace(first, gpus=1) if first.gpus else replace(first, workers=1)).wall
    resized = resized or work.with_shard_size
    found = []
    for site in sites:
        outcome = simulate(work, site)
        shares = shares_of(work, site, outcome)
        size, wall = _better(work, site, outcome.wall, max(shares, key=lambda name: shares[name]), resized)
        found.append(Forecast(site, outcome, one, shares, size, wall))
    return found


def shares_of(work: Work, site: Site, outcome: Outcome) -> dict[str, float]:
    """What each resource needs at least, were it never kept waiting, and the time that nothing accounts for: there, some
    workers had nothing to do, because there are too few shards to keep all of them busy until the end."""
    samplers = site.gpus or site.workers
    trained = outcome.trained - outcome.startup
    tasks = work.tasks * site.overhead + site.warmup * min(site.workers, work.tasks)
    seconds = {
        SAMPLING: work.sampling_seconds / site.speed / samplers,
        MEASURING: work.measuring_seconds / site.workers,
        OVERHEAD: tasks / site.workers,
        TRAINING: trained if any(run.after is not None for run in work.runs) else 0.0,
        STORE: work.bytes / site.bandwidth,
        SUBMISSION: work.tasks * site.submission,
        SERIAL: outcome.startup + outcome.wall - outcome.measured,  # the last run's tables are one task
    }
    busy = seconds[SAMPLING] + seconds[OVERHEAD] + (0.0 if site.gpus else seconds[MEASURING])
    longest = max(busy, seconds[MEASURING], seconds[STORE], seconds[SUBMISSION])
    seconds[SHARDS] = max(0.0, outcome.measured - outcome.startup - seconds[TRAINING] - longest)
    return {name: value / outcome.wall for name, value in seconds.items()}


def _better(
    work: Work, site: Site, wall: float, bottleneck: str, resized: Callable[[int], Work]
) -> tuple[int | None, float | None]:
    """A shard size that is worth it, and its wall seconds: smaller shards where workers idle, larger where tasks cost."""
    factor = {SHARDS: 0.5, OVERHEAD: 2.0, SUBMISSION: 2.0}.get(bottleneck)
    if factor is None or not work.runs:
        return None, None
    size, best, least = work.runs[0].shard_size, None, wall
    before = work
    for step in range(1, 11):
        wanted = round(size * factor**step)
        other = resized(wanted)
        if wanted < 1 or other == before or (factor > 1 and all(run.shards == 1 for run in before.runs)):
            break
        before, seconds = other, simulate(other, site).wall
        if seconds > least:
            break
        best, least = wanted, seconds
    return (best, least) if best is not None and least < WORTH_SAYING * wall else (None, None)
