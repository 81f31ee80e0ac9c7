"""Out over the workers: trainings, then every missing part of a run, each submitted once however many runs need it."""

from collections.abc import Iterator
from typing import Any

from prefect.futures import PrefectFuture

from kpe_core.stages.features import create_features, kept_spaces
from kpe_core.stages.manifest import register
from kpe_core.stages.measure import measured
from kpe_core.stages.requirements import missing_trainings, trainings_of
from kpe_core.stages.resolve import resolve
from kpe_core.stages.sample import create_trajectories
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.runs import Cell, Run, cells
from kpe_core.study.specs import Study
from tasks.features import features
from tasks.measure import measure, measure_features
from tasks.sample import sample
from tasks.tabulate import tabulate
from tasks.train import train

Futures = list[PrefectFuture[Any]]
Started = dict[tuple[str, int], PrefectFuture[Any]]
"""What is being computed already, by folder and part, so that runs that need the same share it."""


def trained(where: Store, spec: Study) -> Iterator[tuple[Cell, Run | BaseException]]:
    """Train what is missing; every cell with its run, registered, or with the error that its training ended with."""
    training = {t.recipe: train.submit(where.url, **t.as_parameters()) for t in missing_trainings(where, spec)}
    # Cells that wait for no training go first, so that workers have something to do meanwhile.
    for cell in sorted(cells(spec), key=lambda cell: any(t.recipe in training for t in trainings_of(cell))):
        error = first_error([training[t.recipe] for t in trainings_of(cell) if t.recipe in training])
        if error is not None:
            yield cell, error
            continue
        run = resolve(where, cell)
        assert run is not None
        register(where, run)
        yield cell, run


def submit_samples(where: Store, run: Run, shard_size: int, started: Started) -> Futures:
    """Fan out the missing shards of one run's trajectories, laid out where they are not yet.

    Returns what is being sampled of them, by whichever run it was asked for.
    """
    create_trajectories(where, run, shard_size)
    trajectories = Trajectories(where, run.trajectories_id)
    for shard in trajectories.missing():
        if (trajectories.folder, shard) not in started:
            started[trajectories.folder, shard] = sample.submit(where.url, run.run_id, run.label, shard)
    return [f for (folder, _), f in started.items() if folder == trajectories.folder]


def submit_run(where: Store, run: Run, shard_size: int, started: Started) -> Futures:
    """Fan out the missing parts of one run: sample, and features of real data → measure → tabulate.

    Futures in the order of their causes.
    """
    args = (where.url, run.run_id, run.label)
    seen = submit_features(where, run, started)
    submit_samples(where, run, shard_size, started)
    trajectories = Trajectories(where, run.trajectories_id)
    sampled = {shard: f for (folder, shard), f in started.items() if folder == trajectories.folder}
    futures: Futures = [*sampled.values(), *seen]
    done = measured(where, run)
    measuring = measure_features if kept_spaces(run) else measure
    for shard in range(trajectories.plan().n_shards):
        if shard not in done:
            after = [*seen, *([sampled[shard]] if shard in sampled else [])]
            futures.append(measuring.submit(*args, shard, wait_for=after, return_state=False))
    return [*futures, tabulate.submit(*args, wait_for=list(futures), return_state=False)]


def submit_features(where: Store, run: Run, started: Started) -> Futures:
    """Fan out the missing features of real data in the run's spaces."""
    seen: Futures = []
    for space in kept_spaces(run):
        real = create_features(where, run, space)
        for part in real.missing():
            if (real.folder, part) not in started:
                started[real.folder, part] = features.submit(where.url, run.run_id, run.label, space.name, part)
        seen += [f for (folder, _), f in started.items() if folder == real.folder]
    return seen


def first_error(futures: Futures) -> BaseException | None:
    """Wait for all; the first failure's exception, which is the cause of later ones."""
    for future in futures:
        future.wait()
    for future in futures:
        if not future.state.is_completed():
            found = future.result(raise_on_failure=False)
            return found if isinstance(found, BaseException) else RuntimeError(str(future.state.message))
    return None
