"""``kpe cp``, ``rm``, ``gc``, ``upgrade``: keeping a store to what is wanted, and wanted things in more than one store."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from rich import box
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table

from flows.commands.render import console, human_bytes
from kpe_core.errors import UserError
from kpe_core.stages.copy import copy_runs, faults, require_whole, to_send
from kpe_core.stages.garbage import PAGES, Garbage, collect, garbage
from kpe_core.stages.holding import have_alone, running_studies, share
from kpe_core.stages.remove import chosen, remove_runs
from kpe_core.stages.upgrade import require_upgradable, to_carry, upgrade
from kpe_core.stages.verify import find_run
from kpe_core.store.store import Store
from tasks.quality.docs import FOLDER, publish_index

SECONDS = {"m": 60.0, "h": 3600.0, "d": 86400.0}


def copy_to(from_url: str, to_url: str | None, prefixes: list[str], study: str | None) -> int:
    """Copy runs and verify them there; exit code 1 where the copy is not what was sent.

    Raises
    ------
    UserError
        when nothing or nowhere is named, the stores are one, or either cannot be used.
    """
    if to_url is None:
        raise UserError("say where to copy to: --to DEST, a folder or an s3:// prefix")
    if bool(prefixes) == (study is not None):
        raise UserError("say which runs to copy: their ids (`kpe ls` lists them), or --study NAME, and not both")
    source = Store.open(from_url)
    if _place(source) == _place(Store(to_url)):
        raise UserError(f"--from and --to are the same store, {source.url}; nothing was copied")
    run_ids = _runs_of(source, study) if study is not None else [find_run(source, p) for p in prefixes]
    run_ids = list(dict.fromkeys(run_ids))
    with share(source):
        print(f"verifying {_count(run_ids, 'run')} in {source.url}", file=sys.stderr)
        require_whole(source, run_ids)
        target = Store.create_or_open(to_url)
        with have_alone(target, "nothing is copied there"):
            with _progress(to_send(source, run_ids)) as tell:
                copied = copy_runs(source, target, run_ids, tell=tell)
            _publish(target)
    for note in copied.notes:
        print(note)
    print(
        f"{_count(run_ids, 'run')} to {target.url}: {copied.sent:,} objects sent ({human_bytes(copied.bytes)}), "
        f"{copied.there:,} were there"
    )
    found = [sentence for run_id in run_ids for sentence in faults(target, run_id)]
    for sentence in found:
        print(f"  {sentence}")
    print(f"verified: {len(found)} problems; `kpe rm` the run there and copy again" if found else "verified: whole")
    return 1 if found else 0


def remove_from(store_url: str, prefixes: list[str], force: bool, dry_run: bool) -> None:
    """Remove runs, and print what went.

    Raises
    ------
    UserError
        when a run is not known, or needed, or the store is in use.
    """
    store = _opened(store_url)
    run_ids = chosen(store, prefixes)
    done = remove_runs(store, run_ids, force, dry_run)
    if not dry_run:
        _publish(store)
    for path, size in done.sizes.items():
        print(f"{path}  {human_bytes(size)}")
    for sentence in done.kept:
        print(sentence)
    for study in done.studies:
        print(f"studies/{study}/runs.json  rows; `kpe report` of the study writes its report anew")
    total = human_bytes(sum(done.sizes.values()))
    print(
        f"{_count(run_ids, 'run')} would go, {total}" if dry_run else f"{_count(run_ids, 'run')} removed, {total} freed"
    )


def collect_in(store_url: str, delete: bool, older_than: str) -> None:
    """Print what nothing refers to, and delete it where asked to.

    Raises
    ------
    UserError
        when the age is none, the store is in use, or one of its runs cannot be read.
    """
    age, store, now = _seconds(older_than), _opened(store_url), time.time()
    if delete:
        deleted = collect(store, age, now)
        _publish(store)
        _show(deleted)
        print(f"deleted, {human_bytes(sum(each.size for each in deleted))} freed" if deleted else "nothing to delete")
        return
    found = garbage(store)
    due = [each for each in found if each.is_due(age, now)]
    young = [each for each in found if not each.is_due(age, now)]
    _show(due)
    if due:
        print(f"{human_bytes(sum(each.size for each in due))} that nothing refers to; --delete deletes it")
    if young:
        size = human_bytes(sum(each.size for each in young))
        print(f"{size} more may still be being written: too young to be deleted ({older_than}, see --older-than)")
    if not found:
        print("everything is referred to")
    if running := running_studies(store):
        print(f"study {', '.join(running)} is being run, and may yet refer to some of it")


def upgrade_to(from_url: str, to_url: str | None) -> None:
    """Make a new store of an old one, and say what was done.

    Raises
    ------
    UserError
        when nothing is named to write to, the old store is none that can be upgraded, or is in use.
    """
    if to_url is None:
        raise UserError("say where the new store is to be: --to NEW, a folder or an s3:// prefix")
    source, target = Store(from_url), Store(to_url)
    require_upgradable(source, target)
    # Where nothing can be written, nobody changes anything either.
    writable = not source.is_local or os.access(source.root, os.W_OK)
    with have_alone(source, "nothing is upgraded") if writable else nullcontext():
        total = sum(each.size for each in to_carry(source))
        with _progress(total) as tell:
            done = upgrade(source, target, tell)
    for note in done.notes:
        print(note)
    print(f"{target.url}: {done.objects:,} objects and the arrays of {done.arrays} folders, verified: whole")
    print(f"{source.url} is as it was; remove it when you no longer need it")


def _show(found: list[Garbage]) -> None:
    if not found:
        return
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("size", "what", "why"):
        table.add_column(heading, justify="right" if heading == "size" else "left", overflow="fold")
    for each in found:
        table.add_row(human_bytes(each.size), each.path, each.why)
    console().print(table)


def _opened(url: str) -> Store:
    """An existing store of this version's numbers, for writing."""
    Store.open(url)  # where there is no store, none should be made
    return Store.create_or_open(url)


def _place(store: Store) -> str:
    return os.path.realpath(store.root) if store.is_local else store.url


def _runs_of(store: Store, study: str) -> list[str]:
    path = f"studies/{study}/runs.json"
    if not store.exists(path):
        known = ", ".join(store.list("studies")) or "none"
        raise UserError(f"{store.url} holds no study {study!r}; it has {known}")
    run_ids = [row["run"] for row in store.read_json(path)]
    if not run_ids:
        raise UserError(f"study {study!r} has no run left in {store.url}")
    return [find_run(store, run_id) for run_id in run_ids]


def _publish(store: Store) -> None:
    """The quality gate's index again; none where no page is left."""
    if store.list(PAGES):
        publish_index(store)
    else:
        store.remove(f"{FOLDER}/index.html")


def _seconds(age: str) -> float:
    if (found := re.fullmatch(r"(\d+(?:\.\d+)?)([mhd])", age)) is None:
        raise UserError(f"--older-than {age!r}: write a number and a unit, as 90m, 24h or 7d")
    return float(found[1]) * SECONDS[found[2]]


def _count(things: list[str], name: str) -> str:
    return f"{len(things)} {name}" + ("" if len(things) == 1 else "s")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal; nothing where there is none."""
    columns = (TextColumn("copying"), BarColumn(), DownloadColumn())
    with Progress(*columns, disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("copying", total=total)
        yield lambda size: progress.advance(task, size)
