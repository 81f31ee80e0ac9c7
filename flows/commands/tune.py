"""``kpe tune``: the front of quality and memorization over the shapings of one plain run, from the command line."""

import contextlib
import time

from rich import box
from rich.table import Table

from flows.cluster import Cluster, cluster, require_usable
from flows.commands.render import console
from flows.commands.run import say
from flows.launch import launch, reserved
from flows.profiles import Profile, load_profile
from flows.progress import terminal_progress
from flows.server import prefect_server, ui_url
from kpe_core.catalog.analyses import analysis
from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import NumericalTrouble, QualityFailed, UserError
from kpe_core.report.files import ReportFiles
from kpe_core.stages.requirements import standing
from kpe_core.store.store import Store
from kpe_core.study.specs import Study
from kpe_core.tuning.conclusion import HEADINGS, sentences, table
from kpe_core.tuning.target import target
from kpe_core.tuning.tuner import Tuned, Tuner


def execute(study: Study, store_url: str, cluster_name: str, shard_size: int, workers: int | None) -> int:
    """Tune a plain run of ``study`` and print the front; returns the exit code (1 when more than a shaping failed).

    Raises
    ------
    UserError
        before anything is started, when the study holds nothing to tune, or it, the store or the cluster cannot work.
    """
    aim = target(study)
    profile = load_profile(cluster_name, workers)
    require_usable(profile, study)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(reserved(aim.study_of(aim.rungs[-1], ()), store_url))
        say(f"Prefect UI      {ui_url(stack.enter_context(prefect_server(store)))}")
        flow = _Flow(store, stack, profile, shard_size)
        try:
            tuned = Tuner(store, aim, flow.run, say).search()
            flow.run(tuned.final, published=True)
        except (QualityFailed, RungFailed) as error:
            say(f"kpe: {error}")
            return 1
    conclusion(store, tuned)
    print(f"\n{time.monotonic() - started:.0f} s")
    return 0


class RungFailed(RuntimeError):
    """A rung's flow broke off, and not because of its numbers."""


class _Flow:
    """Runs the study of a rung as `kpe run` runs a study; all rungs on the same workers, started when they are needed."""

    def __init__(self, store: Store, stack: contextlib.ExitStack, profile: Profile, shard_size: int) -> None:
        self.store = store
        self._stack = stack
        self._profile = profile
        self._shard_size = shard_size
        self._workers: Cluster | None = None

    def run(self, study: Study, published: bool = False) -> None:
        """Compute what is missing. Runs that fail are told of and left out: a shaping may well be a bad one.

        Raises
        ------
        UserError
            for a mistake, such as a file that is gone.
        RungFailed
            when something else went wrong.
        """
        if self._workers is None and not standing(self.store, study).complete:
            self._workers = self._stack.enter_context(cluster(self._profile))
            say(f"Dask dashboard  {self._workers.dashboard}  ({self._workers.workers} workers)")
        with terminal_progress(self.store, study):
            error = launch(study, self.store, self._workers, self._shard_size, published=published)
        if isinstance(error, QualityFailed | NumericalTrouble):
            say(f"kpe: left out: {error}")
        elif isinstance(error, UserError):
            raise error
        elif error is not None:
            raise RungFailed(f"{error}; the same command goes on from here") from error


def conclusion(store: Store, tuned: Tuned) -> None:
    """Print the front, what it says, and where everything is."""
    name = tuned.final.name
    with Catalog(store) as catalog:
        found = analysis("tuning_front").run(catalog, name).to_pylist()
    rows = [row for row in found if row["tuning"] == tuned.tuning]
    grid = Table(box=box.SIMPLE_HEAD)
    for i, heading in enumerate(HEADINGS):
        grid.add_column(heading, justify="left" if i in (0, 4, 5, 11) else "right")
    for line in table(rows):
        grid.add_row(*line)
    console().print(grid)
    print("* differs from the plain run beyond the paired 95 % interval; F_mem differences in points\n")
    for sentence in sentences(rows):
        print(sentence)
    print(f"\nreport   {ReportFiles(store, name).html_path}")
    print(f"store    {store.url}")
    print(f"ask      kpe analyses run tuning_front --study {name} --store {store.url}")
    print(f"         kpe sql \"FROM trials WHERE tuning = '{tuned.tuning}'\" --store {store.url}")
