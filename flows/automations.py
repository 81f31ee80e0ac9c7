"""The automations of deployments/automations/: each file a trigger and a notice, made or brought up to date by its name."""

from pathlib import Path
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.events.actions import RunDeployment, SendNotification
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound
from pydantic import ValidationError

from kpe_core.documents import read_yaml
from kpe_core.errors import UserError

FOLDER = Path(__file__).parents[1] / "deployments" / "automations"
NOTICE = "kpe notice/notice"
"""The deployment that writes notices where the UI shows them."""


async def make_automations(client: PrefectClient, block: str | None, folder: Path = FOLDER) -> list[str]:
    """Make every automation of ``folder``; returns their names. ``block``, as ``slack-webhook/mine``, is told as well.

    One of the same name is brought up to date and keeps its id, and stays off where somebody switched it off.

    Raises
    ------
    UserError
        for a file that is no automation, a block that is not there, or when the notices' deployment is missing.
    """
    block_id = None if block is None else await _block_id(client, block)
    try:
        deployment = await client.read_deployment_by_name(NOTICE)
    except ObjectNotFound:
        raise UserError(f"the automations run the deployment {NOTICE!r}, which is not there; deploy it first") from None
    names = []
    for path in sorted(folder.glob("*.yaml")):
        wanted = _read(path, deployment.id, block_id)
        same = await client.read_automations_by_name(wanted.name)
        for twin in same[1:]:
            await client.delete_automation(twin.id)
        if same:
            kept = wanted.model_dump(mode="json", exclude={"owner_resource"}) | {"enabled": same[0].enabled}
            # Validated again, all of it counts as set: the client sends no defaults, which may differ from what is there.
            await client.update_automation(same[0].id, AutomationCore.model_validate(kept))
        else:
            await client.create_automation(wanted)
        names.append(wanted.name)
    return names


def _read(path: Path, deployment_id: Any, block_id: Any) -> AutomationCore:
    """An automation file, its notice as actions."""
    try:
        said = read_yaml(path)
        notice = said.pop("notice")
        actions: list[Any] = [
            RunDeployment(source="selected", deployment_id=deployment_id, parameters=dict(notice), job_variables=None)
        ]
        if block_id is not None:
            actions.append(SendNotification(block_document_id=block_id, subject=notice["subject"], body=notice["text"]))
        return AutomationCore.model_validate({**said, "actions": [a.model_dump(mode="json") for a in actions]})
    except (AttributeError, KeyError, TypeError, ValidationError) as error:
        raise UserError(f"{path}: not an automation: {' '.join(str(error).split())}") from None


async def _block_id(client: PrefectClient, block: str) -> Any:
    kind, slash, name = block.partition("/")
    if not slash or not name:
        raise UserError(f"KPE_NOTIFY is {block!r}; it should read TYPE/NAME, as slack-webhook/mine")
    try:
        return (await client.read_block_document_by_name(name, kind, include_secrets=False)).id
    except ObjectNotFound:
        raise UserError(f"there is no block {block!r}; `prefect block ls` lists those there are") from None
