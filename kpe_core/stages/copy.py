"""Copying runs from one store to another, with all that makes them whole there.

``run.json`` goes first, so that from then on the copy is a run in progress, of which nothing is garbage. In every folder
the object that says it is whole goes last, and of a run its manifest, after everything else of all runs. So a copy that
is killed is nowhere seen as finished, and the same call goes on where it was.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from kpe_core.errors import StoreDamaged, UserError
from kpe_core.identity import NUMERICS_VERSION
from kpe_core.stages.garbage import PAGES
from kpe_core.stages.references import References
from kpe_core.stages.verify import damages, material_damages
from kpe_core.store.durable import PARTIAL
from kpe_core.store.features import FeatureSet
from kpe_core.store.store import Store, StoredObject
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.runs import Run

AT_ONCE = 8
"""Objects on their way at a time: requests to an object store mostly wait."""
FIRST = "/run.json"
WORDS = ("manifest.json", "quarantine.json")
"""A run's last ones."""
COMMITS = {"weights": "card.json", "features": "plan.json", "trajectories": "plan.json"}
MARKERS = ("shards/", "parts/")


@dataclass
class Copied:
    """What was sent, what lay there already (objects, bytes), and what was left behind, in sentences."""

    sent: int = 0
    bytes: int = 0
    there: int = 0
    notes: list[str] = field(default_factory=list)


def require_whole(source: Store, run_ids: Sequence[str]) -> None:
    """That runs are finished or in quarantine, of this version's numbers, and as they were written.

    Raises
    ------
    UserError
        when one is not; names it.
    StoreDamaged
        when the store does not hold what was written there.
    """
    found = source.about()["numerics"]
    if found != NUMERICS_VERSION:
        raise UserError(
            f"{source.url} holds numbers of numerics version {found}, and this version copies those of version "
            f"{NUMERICS_VERSION}; copy them with the version that made them"
        )
    for run_id in run_ids:
        if not any(source.exists(f"runs/{run_id}/{word}") for word in WORDS):
            raise UserError(f"run {run_id} is not finished in {source.url}; `kpe run` its study first, or leave it out")
        if damage := faults(source, run_id):
            more = f" (and {len(damage) - 3} more)" if len(damage) > 3 else ""
            told = "; ".join(map(str, damage[:3]))
            raise StoreDamaged(f"run {run_id} in {source.url} is not copied: {told}{more}")


def faults(store: Store, run_id: str) -> list[str]:
    """What is not as it was written; of a run in quarantine, whose tables nobody vouches for, without these."""
    visible = store.exists(f"runs/{run_id}/manifest.json")
    return [str(d) for d in (damages if visible else material_damages)(store, run_id)]


def copy_runs(
    source: Store,
    target: Store,
    run_ids: Sequence[str],
    at_once: int = AT_ONCE,
    tell: Callable[[int], None] | None = None,
) -> Copied:
    """Copy runs that are whole (``require_whole``). What the target holds with equal content is not sent again.

    ``tell`` hears the bytes of each object that is done.

    Raises
    ------
    UserError
        when the target has begun the same thing in another way, or a run of either store cannot be read.
    """
    return _Copy(source, target, list(run_ids), at_once, tell or (lambda _: None)).run()


def to_send(source: Store, run_ids: Sequence[str]) -> int:
    """Bytes of everything a copy looks at."""
    references = References(source)
    runs = [references.runs[run_id] for run_id in run_ids]
    folders = {folder for run in runs for folder in _materials(references, run)} | {f"runs/{i}" for i in run_ids}
    return sum(o.size for folder in folders for o in source.objects(folder) if not o.path.endswith(PARTIAL))


def _materials(references: References, run: Run) -> list[str]:
    """Folders, in the order in which each is made from those before."""
    return [*references.weights_of(run), *references.features_of(run), references.trajectories_of(run)]


class _Copy:
    """One copy, and what is known of both sides."""

    def __init__(
        self, source: Store, target: Store, run_ids: list[str], at_once: int, tell: Callable[[int], None]
    ) -> None:
        self.source, self.target, self.run_ids = source, target, run_ids
        self.at_once, self.tell = at_once, tell
        self.references = References(source)
        self.runs = [self.references.runs[run_id] for run_id in run_ids]
        self.finished = {i for i in run_ids if target.exists(f"runs/{i}/manifest.json")}
        self.copied = Copied()

    def run(self) -> Copied:
        materials = list(dict.fromkeys(folder for run in self.runs for folder in _materials(self.references, run)))
        there = {folder for folder in materials if self._is_there(folder)}
        known = {*self.target.list("runs"), *self.run_ids}
        coming = [run_id for run_id in self.run_ids if run_id not in self.finished]
        self._send([o for i in coming for o in self._objects(f"runs/{i}") if o.path.endswith(FIRST)])
        for folder in materials:
            if folder in there:
                self._pass_over(folder)
            else:
                self._send_material(folder)
        for run_id in self.finished:
            self._pass_over(f"runs/{run_id}")
        for run_id in coming:
            self._drop_others(f"runs/{run_id}")
            self._send([o for o in self._objects(f"runs/{run_id}") if not o.path.endswith((*WORDS, FIRST))])
        for run_id in self.run_ids:
            self._send(self._absent(o for path in self._comparisons(run_id, known) for o in self._objects(path)))
            self._send(self._absent(self._objects(f"{PAGES}/{run_id}")))
        for study in self.source.list("studies"):
            self._send_study(study)
        self._send([o for i in coming for o in self._objects(f"runs/{i}") if o.path.endswith(WORDS)])
        return self.copied

    # -- what to send ---------------------------------------------------------------------------------------------

    def _is_there(self, folder: str) -> bool:
        """Whether the target holds it whole.

        Raises
        ------
        UserError
            when it holds other weights under that name, or has begun to compute the rest of it.
        """
        kind, name = folder.split("/")
        if not self.target.exists(commit := f"{folder}/{COMMITS[kind]}"):
            return False
        theirs, ours = self.source.read_json(commit), self.target.read_json(commit)
        if kind == "weights":
            if ours["sha256"] != theirs["sha256"]:
                raise UserError(
                    f"{self.target.url} has trained {folder} itself, with other numbers, and one store cannot hold both; "
                    "copy to another store, or remove its runs that use them and `kpe gc` it"
                )
            return True
        parts = Trajectories(self.target, name) if kind == "trajectories" else FeatureSet(self.target, name)
        if parts.missing():
            raise UserError(
                f"{self.target.url} has begun to compute {folder} itself; finish its study there (`kpe run`), or remove "
                "the run there (`kpe rm`), or what nobody needs (`kpe gc`)"
            )
        needing = [r.run_id for r in self.runs if folder == self.references.trajectories_of(r)]
        if ours.get("shard_size") != theirs.get("shard_size") and not self.finished.issuperset(needing):
            raise UserError(
                f"{self.target.url} holds {folder} in shards of another size; finish its study there (`kpe run`), or "
                "remove the run there (`kpe rm`)"
            )
        return True

    def _send_material(self, folder: str) -> None:
        """Data, then markers, then the object that says it is whole."""
        self._drop_others(folder)
        commit = f"{folder}/{COMMITS[folder.split('/')[0]]}"
        marking = tuple(f"{folder}/{name}" for name in MARKERS)
        objects = self._objects(folder)
        self._send([o for o in objects if not o.path.startswith(marking) and o.path != commit])
        self._send([o for o in objects if o.path.startswith(marking)])
        self._send([o for o in objects if o.path == commit])

    def _comparisons(self, run_id: str, known: set[str]) -> Iterator[str]:
        """Those whose other run is there too, or coming."""
        for path in self.references.comparisons_of(run_id):
            if absent := [i for i in self.references.comparisons[path] if i not in known]:
                self.copied.notes.append(f"{path} stays: its run {absent[0]} was not copied")
            else:
                yield path

    def _send_study(self, study: str) -> None:
        """The study's rows about these runs; and its report, once all its runs are there."""
        path = f"studies/{study}/runs.json"
        theirs = _rows(self.source, path)
        moved = [row for row in theirs if row["run"] in self.run_ids]
        if not moved:
            return
        ours = _rows(self.target, path)
        merged = [row for row in ours if row["run"] not in self.run_ids] + moved
        merged.sort(key=lambda row: row["position"])
        if merged != theirs:
            if merged != ours:
                self.target.write_json(path, merged)
            if len(merged) < len(theirs):
                self.copied.notes.append(
                    f"the report of study {study} stays: {len(theirs) - len(merged)} of its runs were not copied"
                )
            return
        # A copy is not being run, and was not computed there.
        objects = [o for o in self._objects(f"studies/{study}") if o.path != f"studies/{study}/status.json"]
        self._send([o for o in objects if o.path == path])
        if not self.target.exists(last := f"studies/{study}/report.json"):
            self._send([o for o in objects if o.path not in (path, last)])
            self._send([o for o in objects if o.path == last])

    # -- sending --------------------------------------------------------------------------------------------------

    def _objects(self, folder: str) -> list[StoredObject]:
        return [o for o in self.source.objects(folder) if not o.path.endswith(PARTIAL)]

    def _absent(self, objects: Any) -> list[StoredObject]:
        return [o for o in objects if not self.target.exists(o.path)]

    def _drop_others(self, folder: str) -> None:
        """Remove what an earlier attempt, not a copy of this one, left in a folder."""
        wanted = {o.path for o in self._objects(folder)}
        for found in self.target.objects(folder):
            if found.path not in wanted:
                self.target.remove(found.path)

    def _pass_over(self, folder: str) -> None:
        for found in self._objects(folder):
            self.copied.there += 1
            self.tell(found.size)

    def _send(self, objects: list[StoredObject]) -> None:
        """Send objects in any order; all have arrived when it returns."""
        folders = {o.path.rsplit("/", 1)[0] for o in objects}
        roots = {"/".join(folder.split("/")[:2]) for folder in folders}
        sizes = {o.path: o.size for root in roots for o in self.target.objects(root)}
        with ThreadPoolExecutor(max_workers=self.at_once) as pool:
            try:
                for size, sent in pool.map(lambda o: self._send_one(o, sizes.get(o.path)), objects):
                    self.copied.sent += sent
                    self.copied.bytes += size if sent else 0
                    self.copied.there += not sent
                    self.tell(size)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _send_one(self, wanted: StoredObject, size_there: int | None) -> tuple[int, bool]:
        if size_there == wanted.size and self.target.holds_same(self.source, wanted.path):
            return wanted.size, False
        self.target.receive(self.source, wanted.path)
        return wanted.size, True


def _rows(store: Store, path: str) -> list[dict[str, Any]]:
    return list(store.read_json(path)) if store.exists(path) else []
