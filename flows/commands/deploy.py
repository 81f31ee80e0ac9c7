"""``kpe deploy``: everything of prefect.yaml, deployments/automations/ and limits.yaml on a Prefect server, repeatedly."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from flows.server import QUIET, require_answer
from kpe_core.errors import UserError

ROOT = Path(__file__).parents[2]
POOL = "kpe"
QUEUES = {"urgent": 1, "on-demand": 2, "scheduled": 3}
"""By name, how soon its runs are taken: 1 first. A number may be given away only once in a pool."""


def deploy(notify: str | None) -> None:
    """Make or update the work pool, its queues, the deployments, the automations and the limits; says what there is now.

    Raises
    ------
    UserError
        when no server is named or it does not answer, when it refuses a deployment, or a bad automation, block or limit.
    """
    if not (url := os.environ.get("PREFECT_API_URL")):
        raise UserError("say which Prefect server: PREFECT_API_URL=http://127.0.0.1:4200/api kpe deploy")
    require_answer(url)
    _prefect("work-pool", "create", POOL, "--type", "process", "--overwrite")
    asyncio.run(_queues())
    told = _prefect("deploy", "--all")
    made = sorted(line.split("'")[1] for line in told.splitlines() if "successfully created" in line)
    automations = asyncio.run(_automations(notify))
    limits = asyncio.run(_limits())
    print(f"work pool    {POOL}: {', '.join(QUEUES)}")
    print(f"deployments  {', '.join(made)}")
    print(f"automations  {', '.join(automations)}")
    print(f"at once      {', '.join(limits) or 'no limits'}")
    print(f"next         prefect worker start --pool {POOL}")


def _prefect(*args: str) -> str:
    """Prefect's own command, from the checkout; what it printed."""
    found = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *args], cwd=ROOT, env=os.environ | QUIET | {"COLUMNS": "500"},
        capture_output=True, text=True,
    )  # fmt: skip
    if found.returncode != 0:
        said = (found.stderr.strip() or found.stdout.strip()).splitlines()
        raise UserError(f"`prefect {' '.join(args)}` failed: {' '.join(said[-5:])}")
    return found.stdout


async def _queues() -> None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    async with get_client() as client:
        for name, priority in QUEUES.items():
            try:
                queue = await client.read_work_queue_by_name(name, work_pool_name=POOL)
            except ObjectNotFound:
                await client.create_work_queue(name=name, work_pool_name=POOL, priority=priority)
            else:
                await client.update_work_queue(queue.id, priority=priority)


async def _automations(notify: str | None) -> list[str]:
    from prefect.client.orchestration import get_client

    from flows.automations import make_automations

    async with get_client() as client:
        return await make_automations(client, notify)


async def _limits() -> list[str]:
    from prefect.client.orchestration import get_client

    from flows.limits import load_limits, make_limits

    async with get_client() as client:
        return await make_limits(client, load_limits())
