"""One look at a watched folder: what is new and whole is started, what is broken is named, and both are remembered."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kpe_core.store.store import Store
from kpe_core.study.specs import Study
from kpe_core.watch.folder import Candidate, Watched
from kpe_core.watch.records import MOST_ATTEMPTS, Records
from kpe_core.watch.template import Refused, Template

Start = Callable[[Study, tuple[str, ...], str], dict[str, Any]]
"""(study, overrides, key) → what became of it: state (started, done or failed), and more. Called again with the same key
after a kill, it must not start a second one."""


@dataclass
class Look:
    """What one look found, by file name."""

    started: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """And why."""
    writing: list[str] = field(default_factory=list)
    """Still being written, as far as can be told."""
    known: list[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """What is new, one line each."""
        return [
            *(f"{name}: study {record['study']} {record['state']}" for name, record in self.started.items()),
            *(f"{name}: refused: {why}" for name, why in self.refused.items()),
            *(f"{name}: still being written" for name in self.writing),
        ]


def look(watched: Watched, store: Store, template: Template, settle: float, start: Start) -> Look:
    """Start what is new. A checkpoint is known by its content: another name for the same bytes starts nothing.

    ``settle``: seconds for which a file must not have changed. One that only looks finished is refused, and started once
    it is, since its content is then another.

    Raises
    ------
    UserError
        when the folder cannot be listed, or the template's study cannot be had whatever the checkpoint.
    """
    records = Records(store, template.study.name, template.id)
    copies = copies_folder(store, template.study.name)
    for left in copies.glob("incoming-*"):  # by a look that was killed; two never look at once
        shutil.rmtree(left, ignore_errors=True)
    seen, found = records.seen(), Look()
    for candidate in watched.candidates():
        stamp, sha256 = seen.get(candidate.path, ["", ""])
        if stamp == candidate.stamp and records.is_settled(records.get(sha256)):
            found.known.append(candidate.name)
        elif candidate.age < settle or (copied := watched.copy(candidate, copies)) is None:
            found.writing.append(candidate.name)
        else:
            _take(candidate, *copied, records, template, start, found)
            seen[candidate.path] = [candidate.stamp, copied[0]]
            records.remember_seen(seen)
    return found


def copies_folder(store: Store, study: str) -> Path:
    """Where copies of checkpoints are kept: in a local store, else in the home folder."""
    root = Path(store.root, "watch") if store.is_local else Path.home() / ".kpe" / "watch"
    return root / study / "checkpoints"


def _take(
    candidate: Candidate, sha256: str, path: Path, records: Records, template: Template, start: Start, found: Look
) -> None:
    """Start the study of a checkpoint that is copied and hashed, unless that was done, or go on with it."""
    record = records.get(sha256)
    if records.is_settled(record):
        found.known.append(candidate.name)
        if record is not None and record["state"] == "refused":
            shutil.rmtree(path.parent, ignore_errors=True)
        return
    attempts = record.get("attempts", 0) + 1 if record is not None else 1
    try:
        if attempts > MOST_ATTEMPTS:
            raise Refused(f"its study was begun {MOST_ATTEMPTS} times and never came to an end")
        study = template.study_for(path, sha256)
    except Refused as error:
        found.refused[candidate.name] = str(error)
        records.put(sha256, candidate.name, "refused", why=str(error))
        shutil.rmtree(path.parent, ignore_errors=True)
        return
    overrides = template.overrides_for(path, sha256)
    records.put(sha256, candidate.name, "starting", study=study.name, attempts=attempts)
    became = start(study, overrides, f"kpe-watch-{study.name}-{sha256}")
    more: dict[str, Any] = {"study": study.name, "overrides": list(overrides), "attempts": attempts} | became
    found.started[candidate.name] = records.put(sha256, candidate.name, more.pop("state"), **more)
