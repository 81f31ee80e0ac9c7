"""YAML and JSON that people and other programs wrote: plain values only, and none that take their reader with them."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from kpe_core.errors import UserError

LONGEST = 100_000
"""Characters of a document."""
DEEPEST, MOST_PARTS = 24, 100_000
"""Levels, and values with every alias spelled out."""
MOST_DIGITS = 300
"""Of a whole number; a float holds no more."""


class Yaml(yaml.SafeLoader):
    """YAML in which 1e-5 is a number, as everywhere else (YAML 1.1 asks for 1.0e-5), dates are text, and no key is given
    twice."""

    def fetch_flow_collection_start(self, kind: Any) -> None:
        self._go_deeper(self.flow_level)
        super().fetch_flow_collection_start(kind)

    def add_indent(self, column: int) -> bool:
        self._go_deeper(len(self.indents))
        return bool(super().add_indent(column))

    def _go_deeper(self, level: int) -> None:
        """Refused as it is read: what PyYAML does for one value grows with the level."""
        if level >= DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} levels deep")

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    if key.value in seen:
                        raise yaml.constructor.ConstructorError(
                            None, None, f"the key {key.value[:60]!r} is given twice", key.start_mark
                        )
                    seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


Yaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Yaml.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def parse_yaml(text: str) -> Any:
    """One document of mappings, lists, texts, numbers, truth values and nothing; shares no part of itself, so that a
    change in one place is none in another.

    Raises
    ------
    ValueError
        for what is no such document, or too large for one: longer than 100,000 characters, deeper than 24 levels, more
        than 100,000 values where aliases are spelled out, numbers of more than 300 digits. A sentence without the place.
    """
    if len(text) > LONGEST:
        raise ValueError(f"more than {LONGEST:,} characters")
    loader: Any = None
    try:
        loader = Yaml(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {}, 1)
        return _plain(loader.construct_document(node))
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} levels deep") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:  # PyYAML's, of explicit tags that lie
        raise ValueError(f"a value is not what its tag says ({error})") from None
    finally:
        if loader is not None:
            loader.dispose()


def read_yaml(path: Path) -> Any:
    """The YAML document in a file.

    Raises
    ------
    UserError
        as ``parse_yaml``, and for a file that cannot be read or is no UTF-8; names it.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return parse_yaml(file.read(LONGEST + 1))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # UnicodeDecodeError is one
        raise UserError(f"{path} is not valid YAML: {error}") from None


def parse_json(text: str | bytes) -> Any:
    """A JSON document.

    Raises
    ------
    ValueError
        when it is none, or nested too deeply to be read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _measure(node: Any, sizes: dict[int, int], depth: int) -> int:
    """Values below a node with aliases spelled out, before any is built: nine of nine of nine … are a few lines."""
    if depth > DEEPEST:
        raise ValueError(f"nested more than {DEEPEST} levels deep")
    known = sizes.get(id(node))
    if known == 0:
        raise ValueError("an anchor contains itself")
    if known is not None:
        return known
    sizes[id(node)] = 0
    size = 1
    if isinstance(node, yaml.SequenceNode):
        size += sum(_measure(each, sizes, depth + 1) for each in node.value)
    elif isinstance(node, yaml.MappingNode):
        size += sum(_measure(key, sizes, depth + 1) + _measure(value, sizes, depth + 1) for key, value in node.value)
    if size > MOST_PARTS:
        raise ValueError(f"more than {MOST_PARTS:,} values, aliases spelled out")
    sizes[id(node)] = size
    return size


def _plain(value: Any) -> Any:
    """A copy in which nothing is shared and every value is of a plain kind."""
    if isinstance(value, dict):
        return {_plain(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, int) and abs(value) >= 10**MOST_DIGITS:
        raise ValueError(f"a number of more than {MOST_DIGITS} digits")
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ValueError(f"a value of the kind {type(value).__name__}; texts, numbers, lists and mappings are allowed")
