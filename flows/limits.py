"""How many tasks of a kind may run at once: ``deployments/limits.yaml``, brought to a Prefect server."""

from pathlib import Path
from typing import Annotated

import yaml
from prefect.client.orchestration import PrefectClient
from pydantic import Field, ValidationError

from kpe_core.errors import UserError
from kpe_core.study.specs import Spec

FILE = Path(__file__).parents[1] / "deployments" / "limits.yaml"

AtOnce = Annotated[int, Field(ge=1, le=10_000)] | None


class Limits(Spec):
    """By kind of task, how many may run at once; None: as many as there are workers."""

    train: AtOnce = None
    sample: AtOnce = None
    features: AtOnce = None
    measure: AtOnce = None
    tabulate: AtOnce = None
    judge: AtOnce = None
    compare: AtOnce = None
    report: AtOnce = None
    publish: AtOnce = None
    moved: AtOnce = None


def load_limits(path: Path = FILE) -> Limits:
    """
    Raises
    ------
    UserError
        for a file that names another kind, or no number of tasks.
    """
    try:
        return Limits.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (yaml.YAMLError, ValidationError) as error:
        raise UserError(f"{path}: not limits by kind of task: {' '.join(str(error).split())}") from None


async def make_limits(client: PrefectClient, limits: Limits) -> list[str]:
    """Set what is asked for and lift what is not, of this project's kinds alone; returns what holds now, in words."""
    standing = {limit.tag for limit in await client.read_concurrency_limits(limit=200, offset=0)}
    told = []
    for kind, at_once in limits.model_dump().items():
        tag = f"kpe-{kind}"
        if at_once is not None:
            await client.create_concurrency_limit(tag=tag, concurrency_limit=at_once)
            told.append(f"{kind} {at_once}")
        elif tag in standing:
            await client.delete_concurrency_limit_by_tag(tag)
    return told
