"""``kpe status``: how the studies of a store stand, from any terminal or machine that can read it."""

import contextlib
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from rich import box
from rich.table import Table

from flows.commands.render import console, human_bytes, human_time
from kpe_core.store.store import Store
from kpe_core.telemetry.record import StatusRecord
from kpe_core.telemetry.status import StudyStatus, status


def show_status(store_url: str, study: str | None, again_after: float | None) -> None:
    """Print the studies, or the one that is named, once or every so many seconds until interrupted.

    Raises
    ------
    UserError
        when there is no such store or study.
    """
    store = Store.open(store_url)
    if again_after is None:
        _show(store, study)
        return
    out = console()
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            if out.is_terminal:
                out.clear()
            out.print(f"{datetime.now(UTC):%H:%M:%S} UTC, every {again_after:g} s; Ctrl-C ends it\n")
            _show(store, study)
            sys.stdout.flush()
            time.sleep(again_after)


def _show(store: Store, study: str | None) -> None:
    now, out = datetime.now(UTC), console()
    found = status(store, now, study)
    if not found:
        out.print(f"no study has been run in {store.url}")
    for each in found:
        for line in headline(each, now):
            out.print(line, soft_wrap=True)
        if each.runs and (each.is_running or study is not None):
            out.print(_runs(each))


def headline(each: StudyStatus, now: datetime) -> Iterator[str]:
    """What is said of a study above its runs."""
    runs = f"; {each.finished} of {len(each.runs)} runs finished" if each.runs else ""
    live = each.live(now)
    if not each.is_running:
        last = each.record.ended or each.record.updated if each.record is not None else None
        since = (
            f" ({'ended' if each.record and each.record.ended else 'last heard of'} {_moment(last)})" if last else ""
        )
        missing = f", {each.samples:,} of {each.samples_total:,} samples" if each.finished < len(each.runs) else ""
        again = "; `kpe run` of it goes on from there" if each.state() == "broke off" else ""
        yield f"{each.study}: {each.state()}{since}{runs}{missing}{again}"
        return
    if live is None:
        # Just begun, or with nothing left to sample: then no cluster is started, and nothing measured.
        yield f"{each.study}: running, without telemetry so far{runs}"
        return
    duration = (now - datetime.fromisoformat(live.started)).total_seconds()
    yield f"{each.study}: running since {_moment(live.started)} ({human_time(max(0.0, duration))}){runs}"
    yield from (f"  {line}" for line in _details(each, live, now))


def _details(each: StudyStatus, live: StatusRecord, now: datetime) -> Iterator[str]:
    share = f"{100 * each.samples / each.samples_total:.0f} %" if each.samples_total else "–"
    rate = f", {live.samples_per_s:.3g} samples/s" if live.samples_per_s else ""
    left = each.seconds_left(now)
    expected = f", about {human_time(left)} of sampling left" if left is not None else ""
    training = f", {live.trainings} to be trained" if live.trainings else ""
    yield f"{each.samples:,} of {each.samples_total:,} samples ({share}){rate}{expected}{training}"
    gpu = f", GPU {human_bytes(live.gpu_memory)}" if live.gpu_memory is not None else ""
    use = f" at {100 * live.gpu_use:.0f} %" if live.gpu_use is not None else ""
    yield (
        f"{live.workers} workers with {human_bytes(live.memory)} of memory{gpu}{use}; {live.executing} tasks executing, "
        f"{live.queued} queued (told {human_time(max(0.0, live.age(now)))} ago)"
    )
    where = [f"{name} {url}" for name, url in (("Prefect UI", live.ui), ("Dask dashboard", live.dashboard)) if url]
    if where:
        yield "  ".join(where)


def _runs(each: StudyStatus) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("run", "id", "samples", "stage"):
        table.add_column(heading, justify="right" if heading == "samples" else "left", overflow="fold")
    for run in each.runs:
        table.add_row(run.label, run.run or "–", f"{run.samples:,}/{run.n_samples:,}", run.stage(each.is_running))
    return table


def _moment(iso: str) -> str:
    return f"{datetime.fromisoformat(iso).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
