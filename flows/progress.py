"""Progress of a study in the Prefect UI, and in the terminal."""

import contextlib
import contextvars
import sys
import threading
import time
from collections.abc import Callable, Iterator

from kpe_core.stages.requirements import Standing, standing
from kpe_core.store.store import Store
from kpe_core.study.specs import Study


@contextlib.contextmanager
def progress_artifact(store: Store, study: Study) -> Iterator[None]:
    """Keep the flow run's progress artifact at the share of samples in the store. Call inside a flow."""
    from prefect.artifacts import create_progress_artifact, update_progress_artifact

    from tasks.common import slug

    first = standing(store, study)
    artifact = create_progress_artifact(
        _percent(first), key=f"progress-{slug(study.name)}", description=f"{study.name}: samples in the store"
    )

    def show(now: Standing) -> None:
        update_progress_artifact(artifact, _percent(now))  # type: ignore[arg-type]

    if first.complete:
        yield
        return
    with _every(2.0, lambda: show(standing(store, study))):
        yield
    show(standing(store, study))


@contextlib.contextmanager
def terminal_progress(store: Store, study: Study) -> Iterator[None]:
    """A bar with samples per second and remaining time; plain lines every ten seconds where there is no terminal."""
    first = standing(store, study)
    if first.complete:
        yield
        return
    started = time.monotonic()
    if not sys.stderr.isatty():
        with _every(10.0, lambda: print(_line(first, standing(store, study), started), file=sys.stderr, flush=True)):
            yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        line = bar.add_task("starting", total=first.samples, completed=first.samples_done)

        def show() -> None:
            now = standing(store, study)
            bar.update(line, completed=now.samples_done, description=_stage(first, now, started))

        with _every(0.5, show):
            yield
        show()


def _line(first: Standing, now: Standing, started: float) -> str:
    seconds = time.monotonic() - started
    return f"  {seconds:4.0f} s  {_stage(first, now, started)}  {now.samples_done}/{now.samples} samples"


def _stage(first: Standing, now: Standing, started: float) -> str:
    """What is going on, in a few words."""
    rate = (now.samples_done - first.samples_done) / max(1e-9, time.monotonic() - started)
    if now.samples_done < now.samples:
        training = f"training {now.trainings_missing}, " if now.trainings_missing else ""
        return f"{training}sampling ({rate:.0f} samples/s)"
    if now.shards_measured < now.shards:
        return f"measuring (shard {now.shards_measured} of {now.shards})"
    return "done" if now.complete else "checking and reporting"


def _percent(now: Standing) -> float:
    return round(100.0 * now.samples_done / now.samples, 1)


@contextlib.contextmanager
def _every(seconds: float, work: Callable[[], None]) -> Iterator[None]:
    """Do ``work`` from a background thread; what it cannot show it leaves unshown."""
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(seconds):
            with contextlib.suppress(Exception):
                work()

    # A bare thread would not see the settings of this context, and Prefect would start a server of its own for it.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(loop,), daemon=True, name="progress")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
