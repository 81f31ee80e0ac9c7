"""One study, one flow run, on a cluster or on nothing: shared by ``kpe run`` and the deployed flows."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from flows.cluster import Cluster
from flows.observe import observed
from kpe_core.errors import UserError
from kpe_core.stages.holding import STUDY, share
from kpe_core.stages.requirements import require_all_possible
from kpe_core.store.store import Store
from kpe_core.study.specs import Study
from tasks.quality.expectations import require_valid

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import State


@contextlib.contextmanager
def reserved(study: Study, store_url: str, waiting: Callable[[str], None] | None = None) -> Iterator[Store]:
    """The store, checked and held for this study; nobody else runs the study there meanwhile.

    With ``waiting``, a run that comes second says so once and waits its turn. The operating system keeps the order, so
    that it needs no server and nobody stays locked out by a run that was killed. Object stores have no such lock (see
    ``Store.lock``).

    Raises
    ------
    UserError
        when the study asks of its data what they cannot give or expects what cannot be checked, the store cannot be
        used, something is being removed from it, or, without ``waiting``, another run holds it.
    """
    require_all_possible(study)
    require_valid(study.quality)
    store = Store.create_or_open(store_url)
    with contextlib.ExitStack() as stack:
        stack.enter_context(share(store))
        if not stack.enter_context(store.lock(f"{STUDY}{study.name}", wait=False)):
            if waiting is None:
                raise UserError(
                    f"another `kpe run` of study {study.name!r} is writing to {store.url}; "
                    "wait for it, or use another --store"
                )
            waiting(f"another run of study {study.name!r} is writing to {store.url}; waiting for it to end")
            stack.enter_context(store.lock(f"{STUDY}{study.name}", wait=True))
        yield store


def launch(
    study: Study,
    store: Store,
    workers: Cluster | None,
    shard_size: int,
    flow: "Flow[..., Any] | None" = None,
    **options: Any,
) -> BaseException | None:
    """Run ``flow``, the whole study where none is given, with its ``options``; its error, or None.

    Without workers, nothing is left to compute and it runs here. With workers, how it went is kept with the study.

    Raises
    ------
    UserError
        when a worker of another machine may take no part (``flows.agreement``).
    """
    from prefect.task_runners import ThreadPoolTaskRunner

    from flows.left_behind import mark_crashed, taking_note
    from flows.limits import load_limits
    from flows.placing import PlacingTaskRunner
    from flows.study import run_study

    runner: Any = (
        PlacingTaskRunner(workers.address, workers.rooms, workers.task_timeout, load_limits())
        if workers
        else ThreadPoolTaskRunner(max_workers=2)
    )
    noted: Any = taking_note(store, study.name)
    mark_crashed(store, study.name)
    with _attended(workers, store, study) if workers else contextlib.nullcontext():
        state: State[Any] = (flow or run_study).with_options(task_runner=runner, on_running=[noted])(
            study.name, study.model_dump(mode="json"), store.url, shard_size, **options, return_state=True
        )  # type: ignore[assignment]
    if state.is_completed():
        return None
    found = state.result(raise_on_failure=False)
    return found if isinstance(found, BaseException) else RuntimeError(state.message)


@contextlib.contextmanager
def _attended(workers: Cluster, store: Store, study: Study) -> Iterator[None]:
    """Hold the workers to what they must agree in, and observe them."""
    from prefect.settings import PREFECT_API_URL

    from flows.agreement import agreed

    api = PREFECT_API_URL.value()
    agreement = agreed(store, workers.address, api) if workers.elsewhere else contextlib.nullcontext()
    with agreement, observed(store, study, workers):
        yield
