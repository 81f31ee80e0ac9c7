"""``kpe models``: which models fields can be made of, what the store has trained, and what a file looks like."""

from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from flows.commands.render import console
from kpe_core.store.store import Store
from kpe_core.store.weights import WeightsBox


def list_models(store_url: str) -> None:
    """The layouts of pretrained models, and the networks a store holds."""
    from kpe_core.fields.pretrained.layouts import LAYOUTS

    out = console()
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("layout", "needs", "where the study says nothing", "runs code"):
        table.add_column(heading, overflow="fold")
    for name, layout in LAYOUTS.items():
        table.add_row(name, layout.needs, layout.conventions, "yes" if layout.runs_code else "no")
    out.print("Models trained elsewhere: fields: {kind: pretrained, layout: …, path: …}")
    out.print(table)
    out.print("`kpe models PATH` says what a file or folder looks like, and what to write into a study.")
    cards = _trained(Store(store_url))
    if not cards:
        out.print(f"\nNo trained networks in {store_url}.")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("recipe", "network", "data", "steps", "loss", "sha256"):
        table.add_column(heading, justify="right" if heading in ("steps", "loss") else "left", overflow="fold")
    for card in cards:
        table.add_row(
            card["recipe"], _kind(card), _data(card), str(card.get("training_step", "–")),
            f"{card['loss']:.4g}" if card.get("loss") is not None else "–", card["sha256"][:12],
        )  # fmt: skip
    out.print(f"\nTrained in {store_url}:")
    out.print(table)


def show_model(path: str) -> None:
    """What a file or folder looks like; nothing in it is run."""
    from kpe_core.fields.pretrained.inspect import look_at

    found = look_at(Path(path).expanduser().absolute())
    print(path)
    for sentence in found.says:
        print(f"  {sentence}")
    for key in found.keys:
        print(f"    {key}")
    if found.layout is not None:
        print(f"\n{found.yaml(Path(path))}")


def _trained(store: Store) -> list[dict[str, Any]]:
    """Cards of everything trained, networks and classifiers."""
    cards = (WeightsBox(store, recipe).card() for recipe in store.list("weights"))
    return [card for card in cards if card is not None]


def _kind(card: dict[str, Any]) -> str:
    spec = card.get("field") or card.get("classifier") or {}
    return str(spec.get("kind", card["kind"]))


def _data(card: dict[str, Any]) -> str:
    data = card.get("data", {})
    points = f", {data['n_train']} points" if data.get("n_train") else ""
    return f"{data.get('name', '–')}{points}"
