"""What became of every checkpoint, in the store: ``watch/<study>/<sha256>.json``, and ``seen.json`` beside them."""

from typing import Any

from kpe_core.stages.manifest import now
from kpe_core.store.store import Store

MOST_ATTEMPTS = 5
"""Times a study is begun that never comes to an end, as one that takes its process with it."""


class Records:
    """One template's checkpoints. States: starting, started, done, failed, refused."""

    def __init__(self, store: Store, study: str, template_id: str) -> None:
        self.store, self.folder, self.template_id = store, f"watch/{study}", template_id

    def get(self, sha256: str) -> dict[str, Any] | None:
        path = f"{self.folder}/{sha256}.json"
        return dict(self.store.read_json(path)) if self.store.exists(path) else None

    def put(self, sha256: str, name: str, state: str, **more: Any) -> dict[str, Any]:
        """Write what became of a checkpoint; returns the record."""
        told = {"sha256": sha256, "file": name, "state": state, "at": now(), "template": self.template_id, **more}
        self.store.write_json(f"{self.folder}/{sha256}.json", told)
        return told

    def all(self) -> list[dict[str, Any]]:
        """Every record, the latest last."""
        names = [n for n in self.store.list(self.folder) if n.endswith(".json") and n != "seen.json"]
        return sorted((dict(self.store.read_json(f"{self.folder}/{n}")) for n in names), key=lambda r: str(r["at"]))

    def is_settled(self, record: dict[str, Any] | None) -> bool:
        """Whether there is nothing more to do: a refusal holds as long as the template is the same."""
        if record is None or record["state"] == "starting":
            return False
        return record["state"] != "refused" or record["template"] == self.template_id

    def seen(self) -> dict[str, list[str]]:
        """By path the stamp and the hash that a file had when it was last read, so that it is not read every time."""
        path = f"{self.folder}/seen.json"
        return dict(self.store.read_json(path)) if self.store.exists(path) else {}

    def remember_seen(self, seen: dict[str, list[str]]) -> None:
        self.store.write_json(f"{self.folder}/seen.json", seen)
