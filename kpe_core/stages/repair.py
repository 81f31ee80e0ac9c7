"""Making damaged objects again, each by the stage that made it first, and nothing else.

The stages run in a *scratch* store (scratch.py), in which every sound object of the store is there by a link. What they
make there replaces a damaged object only where it is what the store says was there: the hash in a marker, a card or
a manifest, or the neighbours made in the same breath. So a machine that computes other last bits changes nothing.
"""

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow.compute as pc

from kpe_core.errors import StoreDamaged, UserError
from kpe_core.identity import NUMERICS_VERSION
from kpe_core.stages.compare import compare
from kpe_core.stages.damage import Damage, Kind
from kpe_core.stages.features import compute_features, create_features
from kpe_core.stages.inspect import Inspector, at_hand
from kpe_core.stages.inspect_arrays import object_keys
from kpe_core.stages.manifest import finalise
from kpe_core.stages.measure import measure_shard
from kpe_core.stages.remedies import remedy
from kpe_core.stages.sample import create_trajectories, sample_shard
from kpe_core.stages.scratch import Scratch
from kpe_core.stages.tabulate import table_path, tabulate
from kpe_core.stages.train import network_weights, space_weights
from kpe_core.store.features import FeatureSet
from kpe_core.store.laid import laid_out
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.store.weights import WeightsBox
from kpe_core.study.runs import Run

Check = Callable[[Store, Run, str], None]
"""Writes a run's table of checks: (store, run, study's name)."""


@dataclass(frozen=True)
class Outcome:
    """What became of one damage: whether the object is again what it was, and what there is to say."""

    damage: Damage
    repaired: bool
    said: str


class CannotRepair(Exception):
    """Why an object cannot be made again, or not as it was."""


def repair(store: Store, found: list[Damage], check: Check | None = None) -> Iterator[Outcome]:
    """Repair what ``store_damages`` found, materials before what is made of them; tells of each as it is done.

    Bit-identical but for what no spec determines: seconds and dates in a marker, a card, a manifest. What can be made only
    by a command that has the study's file is removed, with the command's name; what nobody can make again, a recording,
    is removed; what does not belong there is left.

    Raises
    ------
    UserError
        when something is not done because the store cannot be written.
    """
    yield from _Repair(store, found, check).run()


class _Repair:
    def __init__(self, store: Store, found: list[Damage], check: Check | None) -> None:
        self.store, self.check = store, check
        self.found = {damage.path: damage for damage in found}
        self.waiting = dict(self.found)

    def run(self) -> Iterator[Outcome]:
        if (about := self.waiting.pop("store.json", None)) is not None:
            self.store.write_about(_numerics(self.store))
            yield Outcome(about, True, "written anew")
        with tempfile.TemporaryDirectory(prefix="kpe-repair-") as folder:
            self.bench = Scratch(self.store, folder, leave_out=set(self.found))
            self.scratch = self.bench.copy
            self.seen = Inspector(self.store)
            for wanted, make in self._steps():
                if not any(path in self.waiting for path in wanted):
                    continue
                here = [self.waiting.pop(path) for path in wanted if path in self.waiting]
                try:
                    make(here)
                    outcomes = [Outcome(damage, True, "made again") for damage in here]
                except (CannotRepair, UserError, StoreDamaged, OSError, ArithmeticError, ValueError) as error:  # zarr's
                    outcomes = [Outcome(damage, False, f"left as it is: {error}") for damage in here]
                yield from outcomes
            for damage in list(self.waiting.values()):
                yield self._last(damage)

    def _steps(self) -> Iterator[tuple[list[str], Callable[[list[Damage]], None]]]:
        """(paths, what makes those of them again that are damaged), materials first."""
        paths = [path for path, damage in self.found.items() if damage.kind in (Kind.OTHER, Kind.MISSING)]

        def below(folder: str) -> list[str]:
            return [path for path in paths if path.startswith(f"{folder}/")]

        def names(folder: str) -> list[str]:
            return sorted({path.split("/")[1] for path in below(folder)})

        for run_id in names("runs"):
            yield [f"runs/{run_id}/run.json"], partial(self._spec, run_id)
        for recipe in names("weights"):
            yield [p for p in below(f"weights/{recipe}") if not p.endswith(".pt")], partial(self._weights, recipe)
        for name in names("features"):
            folder = f"features/{name}"
            laid = [p for p in below(folder) if p.endswith(("plan.json", "zarr.json"))]
            yield laid, partial(self._features_layout, name)
            yield [p for p in below(folder) if p not in laid], partial(self._features, name)
        for name in names("trajectories"):
            folder = f"trajectories/{name}"
            laid = [p for p in below(folder) if self.found[p].samples is None and not p.startswith(f"{folder}/shards/")]
            yield laid, partial(self._layout, name)
            yield [p for p in below(folder) if p not in laid], partial(self._shards, name)
        for run_id in names("runs"):
            folder = f"runs/{run_id}"
            yield below(f"{folder}/measures"), partial(self._measures, run_id)
            checks = f"{folder}/tables/checks.parquet"
            yield [p for p in below(f"{folder}/tables") if p != checks], partial(self._tables, run_id)
            yield [checks], partial(self._checks, run_id)
            yield [f"{folder}/manifest.json"], partial(self._manifest, run_id)
        for path in below("comparisons"):
            yield [path], partial(self._comparison, path)

    # -- runs ----------------------------------------------------------------------------------------------------

    def _run(self, run_id: str) -> Run:
        if run_id not in self.seen.runs:
            raise CannotRepair(
                "neither run.json nor manifest.json says what the run is; `kpe rm` it, `kpe run` its study"
            )
        run = self.seen.runs[run_id]
        if at_hand(run) is None:
            raise CannotRepair(f"the data of run {run.label} are not at hand, or are others by now")
        return run

    def _spec(self, run_id: str, here: list[Damage]) -> None:
        if run_id not in self.seen.runs:
            raise CannotRepair("no manifest says what the run is; `kpe rm` it and `kpe run` its study")
        for store in (self.store, self.scratch):
            store.write_json(f"runs/{run_id}/run.json", self.seen.runs[run_id].model_dump(mode="json"))

    def _measures(self, run_id: str, here: list[Damage]) -> None:
        run = self._run(run_id)
        for damage in here:
            measure_shard(self.scratch, run, int(damage.path.rsplit("/", 1)[1].removesuffix(".parquet")))
            self.bench.take(damage.path)

    def _tables(self, run_id: str, here: list[Damage]) -> None:
        run = self._run(run_id)
        tabulate(self.scratch, run)
        try:
            wanted: dict[str, str] = self.store.read_json(f"runs/{run_id}/manifest.json")["tables"]
        except StoreDamaged:
            wanted = {}
        for damage in here:
            name = damage.path.rsplit("/", 1)[1].removesuffix(".parquet")
            if name in wanted and _sha256(self.scratch, damage.path) != wanted[name]:
                raise CannotRepair("what this machine makes of it is not what the manifest names")
        for damage in here:
            self.bench.take(damage.path)

    def _checks(self, run_id: str, here: list[Damage]) -> None:
        run, path = self._run(run_id), f"runs/{run_id}/tables/checks.parquet"
        if self.check is None:
            raise CannotRepair("nothing here checks runs")
        self.check(self.scratch, run, self._study(run_id))
        with contextlib.suppress(StoreDamaged):
            wanted = self.store.read_json(f"runs/{run_id}/manifest.json")["tables"]["checks"]
            if _sha256(self.scratch, path) != wanted:
                raise CannotRepair(
                    "checked today it is another table than the manifest names: the study expects something of its own, or "
                    "earlier runs came in between; `kpe rm` the run and `kpe run` its study"
                )
        self.bench.take(path)

    def _manifest(self, run_id: str, here: list[Damage]) -> None:
        run = self._run(run_id)
        checks = table_path(run, "checks")
        if self.scratch.exists(checks):
            table = self.scratch.read_table(checks)
            failed = table.filter(pc.and_(pc.equal(table["severity"], "error"), pc.invert(table["success"])))
            if failed.num_rows:
                raise CannotRepair("the run was visible because somebody accepted it, and who and why is lost")
        finalise(self.scratch, run, self._study(run_id))
        self.bench.take(f"runs/{run_id}/manifest.json")

    def _study(self, run_id: str) -> str:
        for study in self.store.list("studies"):
            with contextlib.suppress(StoreDamaged):
                if any(row["run"] == run_id for row in self.store.read_json(f"studies/{study}/runs.json")):
                    return study
        raise CannotRepair("no study in the store says that the run is one of its own; `kpe run` its study")

    def _comparison(self, path: str, here: list[Damage]) -> None:
        run_id, base_id = path.rsplit("/", 1)[1].removesuffix(".parquet").split("-")
        compare(self.scratch, self._run(run_id), self._run(base_id))
        self.bench.take(path)

    # -- what runs are made of -----------------------------------------------------------------------------------

    def _weights(self, recipe: str, here: list[Damage]) -> None:
        if recipe not in self.seen.recipes:
            raise CannotRepair("no run whose data are at hand uses these weights, so what was trained is not known")
        run, space = self.seen.recipes[recipe]
        run = self._run(run.run_id)
        self.scratch.remove(f"weights/{recipe}")
        if space is not None:
            space_weights(self.scratch, run.data, space)
        else:
            assert run.training_step is not None
            network_weights(self.scratch, run.data, run.field, [run.training_step])  # type: ignore[arg-type]
        card = WeightsBox(self.scratch, recipe).card()
        if card is None or card["sha256"] != self.seen.weights_sha256(recipe):
            raise CannotRepair(
                "training on this machine comes to other weights; use the one that its card or manifest names"
            )
        for damage in here:
            self.bench.take(damage.path)

    def _features_layout(self, name: str, here: list[Damage]) -> None:
        run, space = self._space(name)
        folder = f"features/{name}"
        origin = self._origin(folder)
        self.scratch.remove(f"{folder}/plan.json")
        kept = self.bench.set_aside(folder, ("parts", "data.zarr/features/c"))
        create_features(self.scratch, run, space, origin)
        self.bench.put_back(kept)
        self._take_layout(folder, here)

    def _features(self, name: str, here: list[Damage]) -> None:
        run, space = self._space(name)
        there, made = FeatureSet(self.store, name), FeatureSet(self.scratch, name)
        for part in sorted({_number(damage.path) for damage in here}):
            marker, chunk = f"{there.folder}/parts/{part:05d}.json", f"{there.folder}/data.zarr/features/c/{part}/0"
            self.scratch.remove(marker)
            compute_features(self.scratch, run, space, part)
            if marker not in self.found:
                _require(made.marker(part)["sha256"] == there.marker(part)["sha256"])
            elif chunk not in self.found:
                _require(made.marker(part)["sha256"] == there.values_sha256(part))
            for path in (chunk, marker):
                if path in self.found:
                    self.bench.take(path)

    def _space(self, name: str) -> tuple[Run, Any]:
        if name not in self.seen.feature_sets:
            raise CannotRepair("no run whose data are at hand uses these features, so what they are of is not known")
        run, space = self.seen.feature_sets[name]
        return self._run(run.run_id), space

    def _layout(self, name: str, here: list[Damage]) -> None:
        run = self._sampled(name)
        folder = f"trajectories/{name}"
        origin, size = self._origin(folder), self._shard_size(folder)
        self.scratch.remove(f"{folder}/plan.json")
        kept = self.bench.set_aside(folder, ("shards", "data.zarr"))
        create_trajectories(self.scratch, run, size, origin)
        laid = laid_out(self.scratch, folder)
        self.bench.put_back({p: at for p, at in kept.items() if p.removeprefix(f"{folder}/data.zarr/") not in laid})
        self._take_layout(folder, here)

    def _take_layout(self, folder: str, here: list[Damage]) -> None:
        """The damaged ones of what was laid out anew, once it is known to be the same."""
        plan = f"{folder}/plan.json"
        laid = self.scratch.read_json(plan)["laid"]
        damaged = {damage.path for damage in here}
        if plan not in damaged:
            _require(self.store.read_json(plan)["laid"] == laid)
        for key, sha256 in laid.items():
            path = f"{folder}/data.zarr/{key}"
            if path in damaged:
                self.bench.take(path)
            elif not self.store.exists(path) or _sha256(self.store, path) != sha256:
                if plan not in damaged:
                    raise CannotRepair(f"{path} differs from what is laid out now")
                self.bench.take(path)  # which nobody could tell without the plan
        if plan in damaged:
            self.bench.take(plan)

    def _shards(self, name: str, here: list[Damage]) -> None:
        run = self._sampled(name)
        there = Trajectories(self.store, name)
        plan = there.plan()
        for shard in range(plan.n_shards):
            low, high = plan.rows(shard)
            marker = f"{there.folder}/shards/{shard:05d}.json"
            ours = [d.path for d in here if d.path == marker or (d.samples and low <= d.samples[0] < high)]
            if not ours:
                continue
            if self.found.get(marker, None) is not None and self.found[marker].kind is Kind.UNFINISHED:
                raise CannotRepair("these samples were never computed; `kpe run` the study")
            self.scratch.remove(marker)
            made = sample_shard(self.scratch, run, shard)
            if marker not in self.found:
                _require(made["sha256"] == there.marker(shard)["sha256"])
            else:
                objects = object_keys(Trajectories(self.scratch, name).group(), (low, high), run.batch)
                sound = [
                    p
                    for p in (f"{there.folder}/data.zarr/{key}" for key in objects)
                    if p not in self.found and self.store.exists(p)
                ]
                _require(all(self.store.read(p) == self.scratch.read(p) for p in sound))
            for path in sorted(ours, key=lambda p: p == marker):
                self.bench.take(path)

    def _sampled(self, name: str) -> Run:
        for run in self.seen.runs.values():
            if run.trajectories_id == name and at_hand(run) is not None:
                return run
        raise CannotRepair("no run whose data are at hand has these trajectories, so what they are of is not known")

    def _shard_size(self, folder: str) -> int:
        names = [f"{folder}/plan.json", *(f"{folder}/shards/{n}" for n in self.store.list(f"{folder}/shards"))]
        for path in names:
            with contextlib.suppress(StoreDamaged, KeyError):
                return int(self.store.read_json(path)["shard_size"])
        raise CannotRepair(
            "neither plan nor any marker tells how the samples were cut into shards; `kpe run` the study"
        )

    def _origin(self, folder: str) -> dict[str, Any]:
        """Who laid it out, from the plan or from the metadata themselves."""
        with contextlib.suppress(StoreDamaged, KeyError):
            return dict(self.store.read_json(f"{folder}/plan.json")["provenance"])
        try:
            return dict(json.loads(self.store.read(f"{folder}/data.zarr/zarr.json"))["attributes"]["provenance"])
        except (StoreDamaged, ValueError, KeyError, TypeError):
            raise CannotRepair(
                "plan and metadata are both damaged; `kpe rm` its runs and `kpe run` the study"
            ) from None

    # -- the rest ------------------------------------------------------------------------------------------------

    def _last(self, damage: Damage) -> Outcome:
        said = remedy(damage.path)
        if damage.kind in (Kind.STRAY, Kind.UNFINISHED) or said is None:
            return Outcome(damage, False, "left as it is")
        self.store.remove(damage.path)
        return Outcome(damage, said.complete, said.sentence)


def _numerics(store: Store) -> int:
    """Of the numbers in the store, as their provenance tells; this version's, where none does."""
    for name in store.list("trajectories"):
        with contextlib.suppress(StoreDamaged, KeyError):
            return int(store.read_json(f"trajectories/{name}/plan.json")["provenance"]["numerics"])
    return NUMERICS_VERSION


def _number(path: str) -> int:
    """Of the part an object of a set of features belongs to."""
    names = path.split("/")
    return int(names[-1].removesuffix(".json")) if path.endswith(".json") else int(names[-2])


def _require(same: bool) -> None:
    if not same:
        raise CannotRepair("what this machine computes differs from what was written; repair it on one like that")


def _sha256(store: Store, path: str) -> str:
    return hashlib.sha256(store.read(path)).hexdigest()
