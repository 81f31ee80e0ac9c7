"""``kpe quality``: runs in quarantine, what was checked of a run, and letting one pass for a reason."""

import getpass

import pyarrow as pa

from flows.commands.render import show
from kpe_core.errors import UserError
from kpe_core.stages.accept import accept, quarantined
from kpe_core.stages.holding import share
from kpe_core.stages.manifest import is_finalised, registered
from kpe_core.stages.tabulate import table_path
from kpe_core.stages.verify import find_run
from kpe_core.store.store import Store
from tasks.quality.docs import docs_index, publish_index

FIRST = ("suite", "expectation", "severity", "success", "observed", "threshold", "rows")


def list_quarantined(store_url: str) -> None:
    """Every run in quarantine, the expectations that failed, and which rows."""
    store = Store.open(store_url)
    kept_back = quarantined(store)
    if not kept_back:
        print(f"no run is in quarantine; checks: {docs_index(store)}")
        return
    for record in kept_back:
        print(f"{record['run_id']}  {record['label']}   (study {record['study']}, since {record['since'][:16]} UTC)")
        for sentence in record["failed"]:
            print(f"  {sentence}")
    print(
        f"\nevery check   kpe quality show RUN --store {store.url}"
        f'\nlet one pass  kpe quality accept RUN --reason "…" --store {store.url}'
        f"\npages         {docs_index(store)}"
    )


def show_checks(store_url: str, prefix: str, csv: bool) -> None:
    """Every check of one run, what failed first.

    Raises
    ------
    UserError
        when there is no such run, or it was not checked yet.
    """
    store = Store.open(store_url)
    run = registered(store, find_run(store, prefix))
    path = table_path(run, "checks")
    if not store.exists(path):
        raise UserError(f"run {run.label} ({run.run_id}) was not checked yet; `kpe run` its study first")
    rows = sorted(store.read_table(path).to_pylist(), key=lambda row: (row["success"], row["severity"], row["suite"]))
    told = [{name: _cell(row[name]) for name in FIRST} for row in rows]
    show(pa.Table.from_pylist(told), csv, len(told))


def _cell(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def accept_run(store_url: str, prefix: str, reason: str) -> None:
    """Make a quarantined run visible; says what was accepted and what to do next."""
    Store.open(store_url)  # where there is no store, none should be made
    store = Store.create_or_open(store_url)
    run = registered(store, find_run(store, prefix))
    before = is_finalised(store, run)
    with share(store):
        record = accept(store, run.run_id, reason, _user())
        publish_index(store)
    which = "was accepted before, which stands: " if before else "is visible, accepted "
    print(f"run {run.label} ({run.run_id}) {which}by {record['by']} at {record['at'][:16]} UTC:")
    print(f"  {record['reason']}")
    for sentence in record["failed"]:
        print(f"  in spite of   {sentence}")
    print("`kpe run` of its study takes it into comparisons and report")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"
