"""``kpe analyses``: the questions in sql/analyses/, listed, shown, asked."""

from pathlib import Path

from flows.commands.formats import chosen_format, emit
from kpe_core.catalog.analyses import analyses, analysis
from kpe_core.catalog.catalog import Catalog
from kpe_core.catalog.parameters import parse_assignments
from kpe_core.errors import UserError
from kpe_core.store.store import Store


def list_analyses() -> None:
    """Name, title and parameters of each."""
    for each in analyses():
        given = "  ".join(f"{p.name}={p.default}" for p in each.parameters)
        print(f"{each.name:28}  {each.title}" + (f"  [{given}]" if given else ""))


def show_analysis(name: str) -> None:
    """What it answers, with what, and its SQL."""
    chosen = analysis(name)
    print(f"{chosen.title}\n{chosen.answers}\nSource: {chosen.source}\n")
    for p in chosen.parameters:
        print(f"  --param {p.name}={p.default}: {p.about} ({p.allowed})")
    print(f"\n{chosen.sql.rstrip()}")


def run_analysis(
    store_url: str, study: str, name: str, params: list[str], wanted: str | None, output: Path | None
) -> None:
    """Print or write its answer for one study.

    Raises
    ------
    UserError
        when there is no such analysis, study, parameter, value or format.
    """
    chosen, given, form = analysis(name), parse_assignments(params), chosen_format(wanted, output)
    store = Store.open(store_url)
    if not store.exists(f"studies/{study}/runs.json"):
        raise UserError(f"{store.url} holds no study {study!r}; it has {', '.join(store.list('studies')) or 'none'}")
    with Catalog(store) as catalog:
        emit(chosen.run(catalog, study, **given).to_reader(), form, output)
