"""What the workers of this machine do while their flow is still about to begin."""

import importlib


async def import_tasks() -> None:
    """Import what tasks are made of, which takes seconds: torch above all.

    Runs in a worker's event loop, where tasks arrive: one that came meanwhile would import the same in another thread,
    and Python breaks such a deadlock by handing out modules half imported.
    """
    for name in ("sample", "measure"):
        importlib.import_module(f"tasks.{name}")
