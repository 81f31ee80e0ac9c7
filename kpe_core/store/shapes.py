"""What the JSON objects of a store must hold for anything to be read by them: ids that lead nowhere else, counts, lists.

A store may have been copied from anywhere; an object that differs is damaged, whoever reads it.
"""

import re
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from kpe_core.identity import canonical_json

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]
Count = Annotated[int, Field(strict=True, ge=1, lt=2**53)]
Number = Annotated[int, Field(strict=True, ge=0, lt=2**53)]
Hashes = dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")], str]
_open = with_config(ConfigDict(extra="allow"))


@_open
class _Head(TypedDict):
    format: int
    numerics: int


@_open
class _Measure(TypedDict):
    memorized_below: float


@_open
class _States(TypedDict):
    keep: str


@_open
class _Run(TypedDict):
    label: str
    n_samples: Count
    measure: _Measure
    states: _States


@_open
class _Manifest(TypedDict):
    run_id: Id
    run: _Run
    trajectories: Annotated[str, Field(pattern=r"^trajectories/[A-Za-z0-9_-]{1,80}$")]
    study: str
    tables: Hashes
    provenance: dict[str, Any]
    accepted: NotRequired[dict[str, Any] | None]


@_open
class _Quarantine(TypedDict):
    run: _Run
    failed: list[str]


@_open
class _Member(TypedDict):
    study: str
    position: Annotated[int, Field(strict=True, ge=0, lt=2**31)]
    run: Id
    experiment: str
    label: str


@_open
class _Trajectories(TypedDict):
    n_samples: Count
    shard_size: Count
    laid: dict[str, str]


@_open
class _Shard(TypedDict):
    rows: NotRequired[tuple[Number, Number]]
    sha256: NotRequired[Hashes]
    evaluations: Number
    seconds: float


@_open
class _Features(TypedDict):
    n_train: Number
    n_held_out: Number
    dim: Count
    rows_at_once: Count
    laid: dict[str, str]


@_open
class _Part(TypedDict):
    sha256: str


@_open
class _Card(TypedDict):
    sha256: str


_SHAPES: list[tuple[re.Pattern[str], TypeAdapter[Any]]] = [
    (re.compile(pattern), TypeAdapter(shape))
    for pattern, shape in (
        (r"store\.json", _Head),
        (r"runs/[^/]+/run\.json", dict[str, Any]),
        (r"runs/[^/]+/manifest\.json", _Manifest),
        (r"runs/[^/]+/quarantine\.json", _Quarantine),
        (r"studies/[^/]+/runs\.json", list[_Member]),
        (r"trajectories/[^/]+/plan\.json", _Trajectories),
        (r"trajectories/[^/]+/shards/[^/]+\.json", _Shard),
        (r"features/[^/]+/plan\.json", _Features),
        (r"features/[^/]+/parts/[^/]+\.json", _Part),
        (r"weights/[^/]+/card\.json", _Card),
    )
]


def require_shape(path: str, value: Any) -> None:
    """
    Raises
    ------
    ValueError
        when what the object of that path holds is not what is written there; says where.
    """
    for pattern, shape in _SHAPES:
        if pattern.fullmatch(path):
            try:
                shape.validate_python(value)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])) or "the whole of it"
                raise ValueError(f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}") from None
            if (
                isinstance(value, dict)
                and value.get("run_id", name := path.split("/")[-2 if "/" in path else 0]) != name
            ):
                raise ValueError(f"run_id: it is another run's, {value['run_id']}")
            if path.endswith("/manifest.json"):
                canonical_json(value)  # as SQL reads it: no NaN, no infinity
            return
