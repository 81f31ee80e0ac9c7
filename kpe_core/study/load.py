"""From a YAML file and ``--set`` overrides to a frozen study, with errors a person can act on."""

import copy
import difflib
import os
import types
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from kpe_core.documents import parse_yaml, read_yaml
from kpe_core.errors import SHOWN, UserError, shown
from kpe_core.study.runs import twins
from kpe_core.study.specs import Study

STUDIES = Path(__file__).parents[2] / "deployments" / "studies"


def read_study(name_or_path: str, overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """A study's document as the file and the overrides spell it, not yet held against the specs.

    Raises
    ------
    UserError
        for a missing file, bad YAML, or an override that leads nowhere.
    """
    path = find_study(name_or_path)
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise UserError(f"{path} should hold a mapping with the keys name, title, experiments")
    for override in overrides:
        _apply(document, override)
    return dict(document)


def load_study(name_or_path: str, overrides: tuple[str, ...] = ()) -> Study:
    """Read a study by its file's path or by the name of one in ``deployments/studies/``.

    Raises
    ------
    UserError
        for a missing file, bad YAML, an unknown key (naming the nearest right one) or a value out of range.
    """
    path = find_study(name_or_path)
    document = read_study(name_or_path, overrides)
    try:
        study = Study.model_validate(document)
    except ValidationError as error:
        lines = [_explain(document, e) for e in _causes(error.errors())]
        more = f" (and {len(lines) - 3} more)" if len(lines) > 3 else ""
        raise UserError(f"{path.name}: " + "; ".join(lines[:3]) + more) from None
    if (same := twins(study)) is not None:
        raise UserError(f"{path.name}: {same[0]!r} and {same[1]!r} are the same run under two names; remove one")
    return study


def find_study(name_or_path: str) -> Path:
    """The study's file.

    Raises
    ------
    UserError
        when there is none; names the studies there are.
    """
    path = Path(name_or_path)
    if os.path.isfile(path):
        return path
    known = sorted(p.stem for p in STUDIES.glob("*.yaml"))
    if name_or_path in known:
        return STUDIES / f"{name_or_path}.yaml"
    near = difflib.get_close_matches(name_or_path, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UserError(f"no study {shown(name_or_path)}: neither a file nor one of {', '.join(known)}{hint}")


def _apply(document: dict[str, Any], override: str) -> None:
    """Set one ``a.b=value``; list items are addressed by number, by their ``name``, or all at once by ``*``."""
    key, sep, text = override.partition("=")
    if not sep or not key:
        raise UserError(
            f"--set {shown(override)} should read key.path=value, e.g. experiments.0.sampling.n_samples=200"
        )
    try:
        value = parse_yaml(text)
    except ValueError as error:
        raise UserError(f"--set {key[:SHOWN]}: {shown(text)} is not a YAML value: {error}") from None
    _assign(document, key.split("."), value, key[:SHOWN])


def _assign(node: Any, path: list[str], value: Any, key: str) -> None:
    head, rest = path[0], path[1:]
    if isinstance(node, list):
        names = [str(item.get("name", i)) if isinstance(item, dict) else str(i) for i, item in enumerate(node)]
        chosen = [i for i, name in enumerate(names) if head in ("*", str(i), name)]
        if not chosen:
            raise UserError(
                f"--set {key}: no item {shown(head)}; there are {', '.join(names)[:SHOWN]} (or a number, or *)"
            )
        for i in chosen:
            if rest:
                _assign(node[i], rest, value, key)
            else:
                node[i] = copy.deepcopy(value)
    elif isinstance(node, dict):
        if not rest:
            node[head] = copy.deepcopy(value)
        else:
            _assign(node.setdefault(head, {}), rest, value, key)
    else:
        raise UserError(f"--set {key}: {shown(head)} lies below {shown(node)}, which has no keys")


def _causes(errors: list[Any]) -> list[Any]:
    """Without the lists that count as too short only because an item of theirs was refused."""
    places = [e["loc"] for e in errors]
    return [
        e
        for e in errors
        if e["type"] != "too_short" or not any(p[: len(e["loc"])] == e["loc"] and p != e["loc"] for p in places)
    ]


def _explain(document: Any, error: Any) -> str:
    """One pydantic error as: where, what was given, what is allowed."""
    loc: tuple[str | int, ...] = error["loc"]
    where = ".".join(str(p) for p in _public(document, loc)) or "the study"
    given, message = error["input"], error["msg"].removeprefix("Value error, ")
    match error["type"]:
        case "extra_forbidden":
            fields = _fields_at(Study, loc[:-1])
            near = difflib.get_close_matches(str(loc[-1]), fields, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(fields)}"
            return f"unknown key {shown(where)}; {hint}"
        case "missing":
            return f"{shown(where)} is missing"
        case "value_error":
            return f"{where}: {message}"
        case "union_tag_not_found" | "union_tag_invalid":
            key, allowed = str(error["ctx"]["discriminator"]).strip("'"), error["ctx"].get("expected_tags")
            if not allowed:
                return f"{where} must say its {key!r}"
            return f"{where}.{key} = {shown(error['ctx']['tag'])}: must be one of {allowed}"
        case "tuple_type":
            return f"{where} = {shown(given)}: should be a list"
        case "too_short":
            return f"{where} = {shown(given)}: the list must not be empty"
        case "model_type" | "model_attributes_type":
            return f"{where} = {shown(given)}: should be a mapping with the keys {', '.join(_fields_at(Study, loc))}"
        case _:
            return f"{where} = {shown(given)}: {message[0].lower()}{message[1:]}"


def _public(document: Any, loc: tuple[str | int, ...]) -> list[str | int]:
    """The error's place without the union tags pydantic adds, and with names for numbered experiments.

    Nor with the number of the only item where one value stands for a list.
    """
    out: list[str | int] = []
    node = document
    for part in loc:
        if isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
            out.append(node.get("name", part) if isinstance(node, dict) else part)
        elif isinstance(node, dict) and part in node:
            node = node[part]
            out.append(part)
        elif isinstance(part, str) and part == loc[-1] and not (isinstance(node, dict) and part in node.values()):
            out.append(part)
    return out


def _fields_at(annotation: Any, loc: tuple[str | int, ...]) -> list[str]:
    """Field names of the model that ``loc`` leads to, following lists, options and tagged unions."""
    model = _models(annotation)
    for part in loc:
        if isinstance(part, int):
            continue
        step = [m.model_fields[part].annotation for m in model if part in m.model_fields]
        if step:
            model = [inner for a in step for inner in _models(a)]
        else:
            tagged = [m for m in model if any(part in typing.get_args(f.annotation) for f in m.model_fields.values())]
            model = tagged or model
    return sorted({name for m in model for name in m.model_fields})


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [m for inner in typing.get_args(annotation) for m in _models(inner)]
