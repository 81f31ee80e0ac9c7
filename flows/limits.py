"""How many tasks of a kind may run at once: ``deployments/limits.yaml``, brought to a Prefect server."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, TypeAdapter, ValidationError

from kpe_core.documents import read_yaml
from kpe_core.errors import UserError
from tasks.rooms import ROOM_OF

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

FILE = Path(__file__).parents[1] / "deployments" / "limits.yaml"

_LIMITS = TypeAdapter(dict[str, Annotated[int, Field(ge=1, le=10_000)]])


def load_limits(path: Path = FILE) -> dict[str, int]:
    """By kind of task, how many may run at once; a kind that is not named may run on every worker.

    Raises
    ------
    UserError
        for a file that names another kind, or no number of tasks.
    """
    try:
        limits = _LIMITS.validate_python(read_yaml(path) or {})
    except ValidationError as error:
        raise UserError(f"{path}: not limits by kind of task: {' '.join(str(error).split())}") from None
    if unknown := sorted(set(limits) - set(ROOM_OF)):
        raise UserError(f"{path}: not limits by kind of task: no kind {unknown[0]!r}; there are {', '.join(ROOM_OF)}")
    return limits


def tag(kind: str) -> str:
    """What tasks of a limited kind are tagged with."""
    return f"kpe-{kind.replace(' ', '-')}"


async def make_limits(client: "PrefectClient", limits: dict[str, int]) -> list[str]:
    """Set what is asked for and lift what is not, of this project's kinds alone; returns what holds now, in words."""
    standing = {limit.tag for limit in await client.read_concurrency_limits(limit=200, offset=0)}
    for kind in ROOM_OF:
        if kind in limits:
            await client.create_concurrency_limit(tag=tag(kind), concurrency_limit=limits[kind])
        elif tag(kind) in standing:
            await client.delete_concurrency_limit_by_tag(tag(kind))
    return [f"{kind} {at_once}" for kind, at_once in limits.items()]
