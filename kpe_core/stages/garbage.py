"""What a store holds that no run refers to, and taking it away.

Kept whatever refers to them: weights that are not finished (a training goes on from its checkpoint), and on object stores,
where nobody can tell whether a study is being run, everything younger than a given age. On disk the store is held alone
while something is deleted, so that age counts only for what has no name or no plan yet.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from kpe_core.stages.holding import have_alone
from kpe_core.stages.references import References
from kpe_core.store.durable import PARTIAL
from kpe_core.store.store import Store, StoredObject

PAGES = "quality/docs/runs"
"""Of the quality gate, by run."""
COMMITS = ("manifest.json", "quarantine.json", "plan.json", "card.json")
"""Without them a folder counts as not there, so they go first."""
NOT_OURS = ("locks", "prefect")


@dataclass(frozen=True)
class Garbage:
    """A folder or an object nothing refers to."""

    path: str
    why: str
    size: int
    """Bytes."""
    modified: float
    """When the last of it was written, in seconds since 1970."""
    goes_by_age: bool
    """Whether somebody may still be writing it, as far as anyone can tell."""

    def is_due(self, older_than: float, now: float) -> bool:
        """Whether it may go, if what is younger than ``older_than`` seconds may not."""
        return not self.goes_by_age or now - self.modified > older_than


def garbage(store: Store) -> list[Garbage]:
    """Everything nothing refers to, in the order it is to be deleted.

    Raises
    ------
    UserError
        when a run cannot be read: what it needs is then not known.
    """
    references = References(store)
    objects = [o for o in store.objects("") if o.path.split("/")[0] not in NOT_OURS]
    paths = [o.path for o in objects]
    found: list[Garbage] = []
    taken: set[str] = set()
    for path, why, is_whole in _unreferenced(references):
        start, stop = (bisect_left(paths, path + after) for after in ("/", "0"))  # "0" is what follows "/"
        exact = bisect_left(paths, path)
        inside = objects[start:stop] + [o for o in objects[exact : exact + 1] if o.path == path]
        taken |= {o.path for o in inside}
        found.append(_garbage(path, why, inside, not is_whole or not store.is_local))
    left_over = [o for o in objects if o.path.endswith(PARTIAL) and o.path not in taken]
    return found + [_garbage(o.path, "left by a write that was killed", [o], True) for o in left_over]


def collect(store: Store, older_than: float, now: float) -> list[Garbage]:
    """Delete all that is due, and return it. Killed half way, it goes on when called again.

    Raises
    ------
    UserError
        when a study is being run in the store, or as ``garbage``.
    """
    with have_alone(store, "nothing is deleted"):
        due = [each for each in garbage(store) if each.is_due(older_than, now)]
        for each in due:
            discard(store, each.path)
        return due


def discard(store: Store, path: str) -> None:
    """Remove a folder or an object, whatever makes it count as there first."""
    for name in COMMITS:
        if store.exists(f"{path}/{name}"):
            store.remove(f"{path}/{name}")
    store.remove(path)


def _unreferenced(references: References) -> Iterator[tuple[str, str, bool]]:
    """(path, why, whether it was finished) of folders, and of comparisons."""
    store, needed = references.store, references.needed()
    for path, pair in references.comparisons.items():
        if gone := [run_id for run_id in pair if run_id not in references.runs]:
            yield path, f"run {' and '.join(gone)} is gone", True
    for run_id in store.list(PAGES):
        if run_id not in references.runs:
            yield f"{PAGES}/{run_id}", "its run is gone", True
    for run_id in store.list("runs"):
        if run_id not in references.runs:
            yield f"runs/{run_id}", "has no run.json", False
    for kind in ("trajectories", "features"):
        for name in store.list(kind):
            if (path := f"{kind}/{name}") not in needed:
                yield path, "no run needs it", store.exists(f"{path}/plan.json")
    for path in references.cards:
        if path not in needed:
            yield path, "no run needs it", True


def _garbage(path: str, why: str, objects: list[StoredObject], goes_by_age: bool) -> Garbage:
    modified = max((o.modified for o in objects), default=0.0)
    return Garbage(path, why, sum(o.size for o in objects), modified, goes_by_age)
