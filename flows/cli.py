"""The ``kpe`` command. Imports are inside the commands: ``kpe --help`` loads neither torch nor Prefect."""

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from flows import exits, housekeeping
from flows.options import StoreUrl
from kpe_core.errors import StoreDamaged, UserError

app = typer.Typer(
    name="kpe",
    help="Kinetic path energy of flow-matching trajectories: sample, store, check, ask.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

analyses = typer.Typer(name="analyses", add_completion=False, rich_markup_mode=None)
app.add_typer(analyses)
catalog = typer.Typer(name="catalog", help="The store for other DuckDB clients.", no_args_is_help=True)
app.add_typer(catalog)
docs = typer.Typer(name="docs", help="Documentation generated from its sources.", no_args_is_help=True)
app.add_typer(docs)
quality = typer.Typer(name="quality", help="Runs in quarantine: list them, show their checks, accept one for a reason.")
app.add_typer(quality)

app.add_typer(housekeeping.app)

AnalysisName = Annotated[str, typer.Argument(help="as `kpe analyses` lists it")]
AnswerFormat = Annotated[
    str | None, typer.Option("--format", help="table, csv, json, parquet or markdown; default: by --output, or table")
]
AnswerFile = Annotated[Path | None, typer.Option("--output", help="write the answer to this file")]
StudyName = Annotated[str, typer.Argument(help="a study file, or the name of one in deployments/studies/")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="override a value: a.b=c; lists by number, name or *")
]
RunId = Annotated[str, typer.Argument(help="a run's id or its beginning")]
ShardSize = Annotated[int, typer.Option("--shard-size", min=1, help="samples per task; does not change any number")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="local worker processes; default: one a core")]


@app.command()
def plan(
    study: StudyName,
    set_: Overrides = None,
    store: StoreUrl = "store",
    shard_size: ShardSize = 500,
    workers: Annotated[
        str | None, typer.Option("--workers", help="predict for so many, one number or several: 1,2,64")
    ] = None,
    gpus: Annotated[
        str | None, typer.Option("--gpus", help="predict for so many, which then sample; workers only measure")
    ] = None,
    device_speed: Annotated[
        str | None, typer.Option("--device-speed", help="predict for devices so many times as fast as measured")
    ] = None,
    store_bandwidth: Annotated[
        str | None, typer.Option("--store-bandwidth", help="predict for a store of so much: 200MB/s, '1.5 GB/s'")
    ] = None,
) -> None:
    """Show runs, shards, bytes, evaluations and time before anything runs; with the last four, for any machines."""
    from flows.commands.forecast import asked
    from flows.commands.plan import show_plan
    from kpe_core.study.load import load_study

    sites = asked(workers, gpus, device_speed, store_bandwidth)
    show_plan(load_study(study, tuple(set_ or ())), store, shard_size, sites)


@app.command()
def run(
    study: StudyName,
    set_: Overrides = None,
    store: StoreUrl = "store",
    cluster: Annotated[str, typer.Option(help="a profile in deployments/clusters/, or a file")] = "local",
    shard_size: ShardSize = 500,
    workers: Workers = None,
) -> None:
    """Run a study: train, sample, measure, check, answer. What the store already holds is not done again."""
    from flows.commands.run import execute
    from kpe_core.study.load import load_study

    raise typer.Exit(execute(load_study(study, tuple(set_ or ())), store, cluster, shard_size, workers))


@app.command()
def tune(
    study: StudyName,
    set_: Overrides = None,
    store: StoreUrl = "store",
    trials: Annotated[int | None, typer.Option("--trials", help="shapings to try; default: tune.trials")] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", help="of the last rung; default: tune.samples, or the plain run's own")
    ] = None,
    cluster: Annotated[str, typer.Option(help="a profile in deployments/clusters/, or a file")] = "local",
    shard_size: ShardSize = 500,
    workers: Workers = None,
) -> None:
    """Search the shapings of a plain run for the front of quality and memorization; more trials go on from there."""
    from flows.commands.tune import execute
    from kpe_core.study.load import load_study

    given = [f"tune.{name}={value}" for name, value in (("trials", trials), ("samples", samples)) if value is not None]
    raise typer.Exit(execute(load_study(study, (*(set_ or ()), *given)), store, cluster, shard_size, workers))


@app.command()
def ls(store: StoreUrl = "store") -> None:
    """List the runs of a store."""
    from flows.commands.look import list_runs

    list_runs(store)


@app.command()
def status(
    study: Annotated[
        str | None, typer.Argument(help="a study's name; default: all, and what is being run in full")
    ] = None,
    store: StoreUrl = "store",
    watch: Annotated[bool, typer.Option("--watch", help="again and again, until Ctrl-C")] = False,
    every: Annotated[float, typer.Option("--every", min=1, help="seconds between two looks of --watch")] = 5,
) -> None:
    """Say what is being run in a store and how it goes, from any terminal or machine. Only reads."""
    from flows.commands.status import show_status

    show_status(store, study, every if watch else None)


@app.command()
def verify(
    run_id: Annotated[str | None, typer.Argument(help="a run's id or its beginning; default: all")] = None,
    store: StoreUrl = "store",
    repair: Annotated[bool, typer.Option("--repair", help="compute again what is damaged, and only that")] = False,
) -> None:
    """Check that what lies in the store is what was written there; with --repair, make again what is not."""
    from flows.commands.look import repair_store, verify_runs

    if repair and run_id is not None:
        raise UserError("--repair repairs the whole store; leave the run's id out")
    raise typer.Exit(repair_store(store) if repair else verify_runs(store, run_id))


@app.command()
def sql(
    query: Annotated[
        str | None, typer.Argument(help="one SELECT, DESCRIBE, SHOW TABLES, SUMMARIZE or EXPLAIN; none: a shell")
    ] = None,
    store: StoreUrl = "store",
    format_: AnswerFormat = None,
    output: AnswerFile = None,
    explain_io: Annotated[
        bool, typer.Option("--explain-io", help="say how much of the trajectories was read for the answer")
    ] = False,
    allow_read: Annotated[
        Path | None, typer.Option("--allow-read", help="a folder below which SQL may read files, as read_csv('…')")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0.001, help="seconds, after which to give up")
    ] = None,
    memory: Annotated[
        str, typer.Option("--memory", help="of the SQL engine; more spills to a temporary folder")
    ] = "2GB",
) -> None:
    """Ask the store in SQL, trajectories included. Always read-only. Without a query: a shell, or the SQL piped in."""
    from flows.commands.shell import run_shell
    from flows.commands.sql import Asking, ask

    asking = Asking(store, format_, output, explain_io, allow_read, timeout, memory)
    if query is not None:
        ask(asking, query)
    else:
        run_shell(asking)


@analyses.callback(invoke_without_command=True)
def list_analyses(context: typer.Context) -> None:
    """The questions in sql/analyses/: list them, show one, ask it."""
    if context.invoked_subcommand is None:
        from flows.commands.analyses import list_analyses

        list_analyses()


@analyses.command("show")
def show_analysis(name: AnalysisName) -> None:
    """Print what an analysis answers, its parameters and its SQL."""
    from flows.commands.analyses import show_analysis

    show_analysis(name)


@analyses.command("run")
def run_analysis(
    name: AnalysisName,
    study: Annotated[str, typer.Option("--study", help="the study it is about")] = "first-look",
    param: Annotated[list[str] | None, typer.Option("--param", help="name=value, as often as needed")] = None,
    store: StoreUrl = "store",
    format_: AnswerFormat = None,
    output: AnswerFile = None,
) -> None:
    """Ask an analysis of a study."""
    from flows.commands.analyses import run_analysis

    run_analysis(store, study, name, param or [], format_, output)


@app.command()
def data(
    name: Annotated[str | None, typer.Argument(help="a data set; default: list them")] = None,
    root: Annotated[str | None, typer.Option("--root", help="where its files lie, as data.root in a study")] = None,
) -> None:
    """List the data sets: which are here, which are missing, and how to provide them."""
    from flows.commands.data import list_sets, show_set

    if name is None:
        list_sets()
    else:
        show_set(name, root)


@app.command()
def models(
    path: Annotated[str | None, typer.Argument(help="a file or folder to look at; default: list what there is")] = None,
    store: StoreUrl = "store",
) -> None:
    """List the models fields can be made of and the networks a store has trained, or say what a file looks like."""
    from flows.commands.models import list_models, show_model

    if path is None:
        list_models(store)
    else:
        show_model(path)


@app.command()
def report(study: StudyName, set_: Overrides = None, store: StoreUrl = "store") -> None:
    """Write a study's HTML report again from the store."""
    from flows.commands.look import write_again
    from kpe_core.study.load import load_study

    write_again(load_study(study, tuple(set_ or ())), store)


@catalog.command("write")
def write_catalog(
    file: Annotated[Path, typer.Argument(help="a new file, or one that this command wrote")], store: StoreUrl = "store"
) -> None:
    """Write a DuckDB file of views over the store's tables, which any DuckDB client opens."""
    from kpe_core.catalog.write import write_catalog
    from kpe_core.store.store import Store

    runs = write_catalog(Store.open(store), file)
    print(f"{file}: the views over {runs} runs, trajectories left out (`kpe sql` serves those)")


@docs.command("sql")
def docs_sql() -> None:
    """Write sql/README.md: every view, macro and analysis, from the SQL itself."""
    from kpe_core.catalog.documentation import write

    print(write())


@quality.callback(invoke_without_command=True)
def quality_list(context: typer.Context, store: StoreUrl = "store") -> None:
    """List the runs in quarantine, the expectations that failed and the rows."""
    from flows.commands.quality import list_quarantined

    if context.invoked_subcommand is None:
        list_quarantined(store)
    elif getattr(context.get_parameter_source("store"), "name", "") == "COMMANDLINE":
        raise UserError(f"--store goes after the command: kpe quality {context.invoked_subcommand} RUN --store {store}")


@quality.command("show")
def quality_show(
    run_id: RunId, store: StoreUrl = "store", csv: Annotated[bool, typer.Option("--csv", help="print CSV")] = False
) -> None:
    """Show everything that was checked of a run, what failed first."""
    from flows.commands.quality import show_checks

    show_checks(store, run_id, csv)


@quality.command("accept")
def quality_accept(
    run_id: RunId,
    reason: Annotated[str, typer.Option("--reason", help="what is wrong with the run, and why that does not matter")],
    store: StoreUrl = "store",
) -> None:
    """Make a quarantined run visible; its manifest keeps who accepted what, when and why."""
    from flows.commands.quality import accept_run

    accept_run(store, run_id, reason)


@app.command()
def ui(store: StoreUrl = "store") -> None:
    """Serve the Prefect UI over this store's past runs, until Ctrl-C."""
    from flows.commands.ui import serve

    serve(store)


@app.command()
def watch(
    folder: Annotated[str, typer.Argument(help="a folder or s3:// prefix that checkpoints are put into")],
    study: Annotated[str, typer.Option("--study", help="the template: a study with a pretrained field")],
    set_: Overrides = None,
    store: StoreUrl = "store",
    once: Annotated[bool, typer.Option("--once", help="look once, and leave")] = False,
    every: Annotated[float, typer.Option("--every", min=1, help="seconds between two looks")] = 60,
    settle: Annotated[float, typer.Option("--settle", min=0, help="seconds a file must not have changed")] = 60,
    pattern: Annotated[str, typer.Option("--pattern", help="names to look at, as *.safetensors")] = "*",
    into: Annotated[
        str | None, typer.Option("--into", help="the one place to put the path; default: every pretrained field")
    ] = None,
    cluster: Annotated[str, typer.Option(help="a profile in deployments/clusters/, or a file")] = "local",
) -> None:
    """Run a study for every new, whole checkpoint in a folder; each once, by its content, whatever its name."""
    from flows.commands.watch import watch_folder
    from kpe_core.watch.folder import Watched
    from kpe_core.watch.template import Template

    template = Template(study, tuple(set_ or ()), into)
    watched = Watched(folder, pattern, template.folders)
    raise typer.Exit(watch_folder(watched, template, store, cluster, settle, None if once else every))


@app.command()
def deploy(
    notify: Annotated[
        str | None,
        typer.Option("--notify", envvar="KPE_NOTIFY", help="a notification block to tell too, as slack-webhook/mine"),
    ] = None,
) -> None:
    """Put the work pool, the deployments and the automations on the server that PREFECT_API_URL names. May be repeated."""
    from flows.commands.deploy import deploy

    deploy(notify)


def main() -> None:
    """Entry point: a user's mistake ends with one sentence and exit code 2."""
    exits.register()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.encoding.lower() == "utf-8":
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may be no UTF-8
    try:
        app()
    except (UserError, StoreDamaged) as error:
        print(f"kpe: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except KeyboardInterrupt:
        print("kpe: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
