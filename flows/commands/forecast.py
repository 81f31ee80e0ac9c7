"""``kpe plan`` with ``--workers`` and the like: what a study would take on machines that may not be here."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from flows.commands.render import console, human_bytes, human_time
from kpe_core.errors import UserError
from kpe_core.planning.bandwidth import bandwidth
from kpe_core.planning.work import Site

if TYPE_CHECKING:
    from kpe_core.stages.plan import StudyPlan
    from kpe_core.store.store import Store

USUAL = tuple(2**k for k in range(11))
MOST = 100_000


def asked(workers: str | None, gpus: str | None, speed: str | None, store_bandwidth: str | None) -> list[Site]:
    """The sites that the options name, smallest first; none where none is given.

    GPUs sample, and beside them are as many workers, or the one number of ``workers``.

    Raises
    ------
    UserError
        when one of them says nothing that can be.
    """
    if workers is gpus is speed is store_bandwidth is None:
        return []
    numbers = None if workers is None else _numbers("--workers", workers)
    usual = Site(
        1, speed=1.0 if speed is None else _speed(speed),
        bandwidth=math.inf if store_bandwidth is None else bandwidth(store_bandwidth),
    )  # fmt: skip
    if gpus is None:
        return [replace(usual, workers=n) for n in numbers or USUAL]
    if numbers is not None and len(numbers) > 1:
        raise UserError(f"--workers {workers}: beside --gpus it is one number, of the workers that measure")
    return [replace(usual, workers=numbers[0] if numbers else n, gpus=n) for n in _numbers("--gpus", gpus)]


def show_forecasts(plan: "StudyPlan", store: "Store", shard_size: int, sites: Sequence[Site]) -> None:
    """Print one line a site, and where the figures come from.

    Raises
    ------
    UserError
        when GPUs are asked for, and neither the store nor ``--device-speed`` tells how fast they are.
    """
    from kpe_core.planning.calibration import calibrated
    from kpe_core.planning.forecast import forecasts

    out = console()
    found = calibrated(plan, store, shard_size, sites[0])
    if sites[0].gpus and sites[0].speed == 1 and found.unmeasured:
        raise UserError(
            f"{store.url} holds no GPU's times of {', '.join(found.unmeasured)}: say with --device-speed how many times "
            "as fast as this machine's processor the GPU is"
        )
    overheads = {name: getattr(found.site, name) for name in ("startup", "warmup", "submission", "overhead")}
    rows = forecasts(found.work, [replace(site, **overheads) for site in sites])
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("GPUs" if sites[0].gpus else "workers", "wall time", "speed-up", "efficiency"):
        table.add_column(heading, justify="right")
    for heading in ("bottleneck", "shares of the wall time", "better"):
        table.add_column(heading)
    for row in rows:
        shares = sorted(row.shares.items(), key=lambda share: -share[1])
        table.add_row(
            f"{row.site.gpus or row.site.workers:,}", human_time(row.outcome.wall), f"{row.speedup:.1f}",
            f"{row.efficiency:.0%}", row.bottleneck,
            ", ".join(f"{name} {share:.0%}" for name, share in shares[:4] if share >= 0.005),
            "" if row.better_size is None else f"--shard-size {row.better_size}: {human_time(row.better_wall or 0)}",
        )  # fmt: skip
    where = f"a store of {human_bytes(sites[0].bandwidth)}/s" if math.isfinite(sites[0].bandwidth) else "any store"
    fast = "as fast as measured" if sites[0].speed == 1 else f"{sites[0].speed:g} times as fast as measured"
    out.print(f"from nothing, on devices {fast}, each worker with a core of its own, and {where}:")
    out.print(table)
    for line in found.told:
        out.print(line)


def _numbers(option: str, text: str) -> list[int]:
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        found = []
    if not found or found[0] < 1 or found[-1] > MOST:
        raise UserError(f"{option} {text!r}: expected whole numbers from 1 to {MOST:,}, such as 8 or 1,2,64")
    return found


def _speed(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise UserError(f"--device-speed {text!r}: expected how many times as fast as measured, such as 40 or 0.5")
    return found
