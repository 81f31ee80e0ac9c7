"""The names of classes that are only numbers, or ImageNet's synsets, in the data themselves."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kpe_core.data.files import missing, root_of, unreadable
from kpe_core.documents import parse_json
from kpe_core.errors import UserError
from kpe_core.packages import need
from kpe_core.study.specs import DataSpec
from kpe_core.study.specs.data import IMAGENET

BESIDE = ("classes.txt", "classes.json", "LOC_synset_mapping.txt")
"""Looked for beside the data where the study names no file; the last is Kaggle's."""
ORIGIN = "you: one name a line, or JSON; a pipeline's model_index.json may have them too"
SYNSET = re.compile(r"n\d{8}")
IMAGENET_CLASSES = 1000


def file_of(spec: DataSpec) -> list[Path]:
    """The file of names, where there is one.

    Raises
    ------
    UserError
        when the study names a file that is not there, or two lie beside the data.
    """
    if spec.class_names == IMAGENET:
        return []
    if spec.class_names is not None:
        if not os.path.isfile(given := Path(spec.class_names)):
            raise missing(spec, "the file of class names (data.class_names)", [given], ORIGIN)
        return [given]
    root = root_of(spec)
    folder = root if root.suffix not in (".npy", ".npz", ".zarr") else root.parent
    here = [folder / name for name in BESIDE if os.path.isfile(folder / name)]
    if len(here) > 1:
        raise UserError(
            f"{here[0]} and {here[1]} both name classes; remove one, or set data.class_names to the right one"
        )
    return here


def names_for(spec: DataSpec, classes: Sequence[str]) -> tuple[str, ...] | None:
    """Names of some classes, given as their numbers or synsets in order; None where nobody says them.

    Names for more numbers than asked for are kept: classes without points.

    Raises
    ------
    UserError
        as ``file_of``; when the file cannot be read, or lacks a class.
    """
    if spec.class_names == IMAGENET:
        return _imagenet(spec, len(classes))
    if not (found := file_of(spec)):
        return None
    said = read_names(found[0])
    if all(SYNSET.fullmatch(key) for key in said) and not all(SYNSET.fullmatch(key) for key in classes):
        # ImageNet's numbers are the order of its synsets.
        said = {str(i): said[key] for i, key in enumerate(sorted(said))}
    if not any(SYNSET.fullmatch(key) for key in said):
        classes = [str(i) for i in range(max(len(classes), len(said)))]
        if lacking := [key for key in classes if key not in said]:
            raise unreadable(found[0], f"names {len(said)} classes, and none is numbered {lacking[0]}", "add it")
    elif lacking := [key for key in classes if key not in said]:
        raise unreadable(found[0], f"names no class {lacking[0]}", "add it")
    return tuple(said[key] for key in classes)


def read_names(path: Path) -> dict[str, str]:
    """Names by number ("0", …) or synset; of several for one class, parted by commas, the first.

    Raises
    ------
    UserError
        when the file is empty, no text or no JSON of names.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = _of_json(parse_json(text)) if path.suffix == ".json" else _of_lines(text)
    except (UnicodeDecodeError, ValueError) as error:
        raise unreadable(path, f"cannot be read as class names ({error})", "mend it") from None
    if not found or not all(found.values()):
        empty = next((key for key, name in found.items() if not name), None)
        raise unreadable(path, "it names no class" if empty is None else f"class {empty} has an empty name", "mend it")
    return found


def _of_lines(text: str) -> dict[str, str]:
    lines = [line.strip() for line in text.rstrip().splitlines()]
    pairs = [line.split(maxsplit=1) for line in lines]
    if pairs and all(len(pair) == 2 and SYNSET.fullmatch(pair[0]) for pair in pairs):
        return {synset: _first(name) for synset, name in pairs}
    return {str(i): _first(line) for i, line in enumerate(lines)}


def _of_json(said: Any) -> dict[str, str]:
    """A list; an object by number or synset, its values names or [synset, name]; or an object with ``id2label``."""
    if isinstance(said, dict):
        said = said.get("id2label", said)
    pairs = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    found = {}
    for key, value in pairs:
        name = value[-1] if isinstance(value, list) and value else value
        if not isinstance(name, str) or not (str(key).isdigit() or SYNSET.fullmatch(str(key))):
            raise ValueError(f"{key!r}: {str(value)[:40]!r} is no name of a numbered class")
        found[str(key)] = _first(name)
    return found


def _first(names: str) -> str:
    return names.split(",")[0].strip()


def _imagenet(spec: DataSpec, n: int) -> tuple[str, ...]:
    """The names CLIP's authors use, in the order of the synsets; two pairs of classes share a word all the same."""
    if n > IMAGENET_CLASSES or (spec.name == IMAGENET and n != IMAGENET_CLASSES):
        raise UserError(
            f"data.class_names: imagenet has {IMAGENET_CLASSES} names, and data set {spec.name!r} {n} classes; name a file"
        )
    names = need("open_clip", "open_clip_torch").IMAGENET_CLASSNAMES
    assert len(names) == IMAGENET_CLASSES
    return tuple(names)
