"""``kpe cp``, ``rm``, ``gc``, ``upgrade``: commands that change what a store holds, never a number in it."""

from typing import Annotated

import typer

from flows.options import RunIds, StoreUrl

app = typer.Typer(add_completion=False, rich_markup_mode=None)

OlderThan = Annotated[
    str, typer.Option("--older-than", help="age, as 90m, 24h or 7d: what may still be being written is kept until then")
]


@app.command("cp")
def copy(
    runs: Annotated[list[str] | None, typer.Argument(help="runs' ids or their beginnings; or --study")] = None,
    from_: Annotated[str, typer.Option("--from", envvar="KPE_STORE", help="folder or s3:// prefix")] = "store",
    to: Annotated[str | None, typer.Option("--to", help="folder or s3:// prefix; made if there is none")] = None,
    study: Annotated[str | None, typer.Option("--study", help="all runs of the study of that name")] = None,
) -> None:
    """Copy runs to another store, with all they are made of; `kpe run` of their study then has nothing to compute there.

    What is there already is not sent again; a copy that was killed is visible nowhere, and the same command goes on. Both
    ends are verified: what is damaged is not copied.
    """
    from flows.commands.keep import copy_to

    raise typer.Exit(copy_to(from_, to, runs or [], study))


@app.command("rm")
def remove(
    runs: RunIds,
    store: StoreUrl = "store",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would go, and remove nothing")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="also a baseline of other runs, with the comparisons; on S3, also a run in progress"
        ),
    ] = False,
) -> None:
    """Remove runs: tables, comparisons, their place in studies, and trajectories that no other run shares.

    Weights and features stay, so that a rerun need not train again; `kpe gc` removes those that no run needs. Refused while
    a study is being run in the store.
    """
    from flows.commands.keep import remove_from

    remove_from(store, runs, force, dry_run)


@app.command("gc")
def collect(
    store: StoreUrl = "store",
    delete: Annotated[bool, typer.Option("--delete", help="delete it; default: list it")] = False,
    older_than: OlderThan = "24h",
) -> None:
    """List what no run refers to: trajectories, weights, features, comparisons, temporary files; or delete it.

    Runs in progress and in quarantine count, and unfinished weights are kept. On disk, only what is half-made has to be
    older than --older-than. On S3 all has to: no lock tells there whether a study is being run, so let it be longer than
    studies take.
    """
    from flows.commands.keep import collect_in

    collect_in(store, delete, older_than)


@app.command("upgrade")
def upgrade(
    store: StoreUrl = "store",
    to: Annotated[str | None, typer.Option("--to", help="a new folder or s3:// prefix")] = None,
) -> None:
    """Make a store of this version's format of one that an earlier version wrote, with the same numbers and ids.

    The old store is only read; the new one is none before all of it was verified. Killed, the same command goes on.
    """
    from flows.commands.keep import upgrade_to

    upgrade_to(store, to)
