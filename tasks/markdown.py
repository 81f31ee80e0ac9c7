"""Texts of a study's and its data in the Prefect UI, which renders descriptions, artifacts and the cells of tables as
markdown, ``javascript:`` links and pictures from anywhere included."""

import re
from typing import Any

_SIGNS = re.compile(r"[\\`*\[\]<>|&!]")


def plain(text: object) -> str:
    """``text`` on one line, shown as it is: no link, no picture, no HTML comes of it."""
    return _SIGNS.sub(lambda sign: f"\\{sign[0]}", " ".join(str(text).split()))


def plain_cells(row: dict[str, Any]) -> dict[str, Any]:
    """A table's row whose texts, also those in lists, are shown as they are."""
    return {name: _cell(value) for name, value in row.items()}


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return [_cell(inner) for inner in value]
    return plain(value) if isinstance(value, str) else value
