"""The flow that automations run: a notice where whoever opens the UI sees it. Needs no outside service."""

from datetime import UTC, datetime
from typing import Annotated

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger
from pydantic import Field

from tasks.markdown import plain

Subject = Annotated[str, Field(min_length=1, max_length=1000)]


@flow(name="kpe notice", flow_run_name="{subject}", persist_result=False)
def notice(subject: Subject, text: str = "") -> None:
    """Write a notice as the artifact `notices`, whose history is the list of all.

    Args:
        subject: What happened, in a line.
        text: What else there is to know.
    """
    get_run_logger().warning("%s\n%s", subject, text)
    at = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    lines = [f"**{plain(subject)}**", "", *map(plain, text.splitlines()), "", at]
    create_markdown_artifact("\n".join(lines), key="notices", description=plain(subject))
