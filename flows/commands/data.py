"""``kpe data``: which data sets there are, which are here, and how to provide the others."""

import numpy as np
from pydantic import ValidationError
from rich import box
from rich.table import Table

from flows.commands.render import console
from kpe_core.data.cache import cache_folder
from kpe_core.data.datasets import known_fingerprint, source_of
from kpe_core.data.files import root_of
from kpe_core.data.registry import SETS
from kpe_core.data.source import HELD_OUT, TRAIN, Source
from kpe_core.errors import UserError
from kpe_core.study.names import DATASETS
from kpe_core.study.specs import DataSpec

HERE, MISSING = "here", "missing"


def list_sets() -> None:
    """One line a data set."""
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("name", "what it holds", "files", "where"):
        table.add_column(heading, overflow="fold")
    for name, known in DATASETS.items():
        spec = DataSpec(name=name)
        needs_files = "root" in known.options
        state = HERE if not needs_files or _problem(spec) is None else MISSING
        table.add_row(name, known.holds, state, str(root_of(spec)) if needs_files else "–")
    out = console()
    out.print(table)
    out.print("`kpe data NAME` says what is missing and how to provide it; --root looks elsewhere.")
    out.print(f"Prepared data are kept in {cache_folder()} (KPE_CACHE), and can be removed at any time.")


def show_set(name: str, root: str | None) -> None:
    """Everything about one data set.

    Raises
    ------
    UserError
        for a set there is not, or a root where none is taken.
    """
    try:
        spec = DataSpec(name=name, root=root)
    except ValidationError as error:
        raise UserError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    known, entry = DATASETS[name], SETS[name]
    rows = [("", known.holds), ("from", entry.origin)]
    if "root" in known.options:
        rows += [("looked for in", str(root_of(spec))), ("layout", entry.layout)]
    choices = [f"{o} (default {known.defaults[o]})" if o in known.defaults else o for o in sorted(known.options)]
    split = "the publisher's train and test parts (split: own), or at random" if known.own_split else "at random"
    rows += [("split", split), ("choices", ", ".join(choices) or "none beside those all sets have")]
    problem = _problem(spec)
    if problem is None:
        try:
            rows += _facts(spec, source_of(spec))
        except UserError as error:
            problem = str(error)
    rows.append(("state", HERE if problem is None else problem))
    grid = Table(box=None, show_header=False, pad_edge=False)
    grid.add_column()
    grid.add_column(overflow="fold")
    for heading, text in [(name, rows[0][1]), *rows[1:]]:
        grid.add_row(heading, text)
    console().print(grid)


def _problem(spec: DataSpec) -> str | None:
    """What keeps the set from being found; None when nothing does."""
    try:
        SETS[spec.name].index(spec)
    except UserError as error:
        return str(error)
    return None


def _facts(spec: DataSpec, source: Source) -> list[tuple[str, str]]:
    points = f"{len(source):,}"
    if source.part is not None:
        counts = (int(np.sum(source.part == part)) for part in (TRAIN, HELD_OUT))
        points += " ({:,} to train on, {:,} held out)".format(*counts)
    names = source.class_names
    some = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    bounds = "not declared" if source.value_range is None else "{:g} to {:g}".format(*source.value_range)
    said = known_fingerprint(spec)
    return [
        ("points", points),
        ("shape", f"{'×'.join(map(str, source.shape))} ({source.kind})"),
        ("classes", f"{len(names)}: {some}"),
        ("values", bounds),
        ("fingerprint", said or "known once a study has prepared the data"),
    ]
