"""What every task shares: how it is declared, and when trying again makes sense."""

from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from kpe_core.errors import NumericalTrouble, QualityFailed, UserError

_FINAL = (UserError, NumericalTrouble, QualityFailed)


def worth_retrying(task: Any, task_run: Any, state: State) -> bool:
    """Trouble with machines and stores is; a mistake, or a number that is wrong, would only be so again."""
    return not isinstance(state.data, _FINAL)


OPTIONS: dict[str, Any] = {
    # The store's own markers say what is done; Prefect's caches would only say what this flow run did.
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "retries": 2,
    "retry_delay_seconds": [1, 5],
    "retry_condition_fn": worth_retrying,
}


def slug(text: str) -> str:
    """``text`` as an artifact key: lowercase letters, digits and dashes."""
    return "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in text.lower()).split())
