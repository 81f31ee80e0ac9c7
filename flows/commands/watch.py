"""``kpe watch``: a study for every new checkpoint in a folder, one after the other, in this process."""

import time
from typing import Any

from flows.commands.run import execute, say
from flows.profiles import load_profile
from kpe_core.errors import UserError
from kpe_core.store.store import Store
from kpe_core.study.specs import Study
from kpe_core.watch.folder import Watched
from kpe_core.watch.template import Template
from kpe_core.watch.tick import look


def watch_folder(
    watched: Watched, template: Template, store_url: str, cluster: str, settle: float, every: float | None
) -> int:
    """Look, run what is new, wait ``every`` seconds, and again, until interrupted; without ``every``, once.

    The exit code is 1 where a study failed or a checkpoint was refused in the only look there was.

    Raises
    ------
    UserError
        when the folder cannot be listed, the store cannot be used, the template's study cannot be had, or somebody
        else watches for it.
    """
    load_profile(cluster, None)
    store = Store.create_or_open(store_url)

    def start(study: Study, overrides: tuple[str, ...], key: str) -> dict[str, Any]:
        """Interrupted, it is still to be done: the next look goes on with it, and with what the store holds."""
        say(f"kpe: study {study.name}")
        try:
            code = execute(study, store.url, cluster, 500, None)
        except UserError as error:
            say(f"kpe: {error}")
            return {"state": "failed", "why": str(error)}
        return {"state": "done" if code == 0 else "failed"}

    with store.lock(f"watch-{template.study.name}", wait=False) as free:
        if not free:
            raise UserError(f"somebody else is watching for study {template.study.name!r} with {store.url}")
        while True:
            found = look(watched, store, template, settle, start)
            for sentence in found.sentences():
                say(f"kpe: {sentence}")
            if every is None:
                say(f"kpe: {len(found.started)} studies run, {len(found.known)} checkpoints known before")
                failed = [name for name, record in found.started.items() if record["state"] == "failed"]
                return 1 if failed or found.refused else 0
            time.sleep(every)
