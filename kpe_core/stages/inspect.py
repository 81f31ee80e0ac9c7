"""Every object of a store held against its checksums, folder by folder.

An object that is there is read whole and decoded, and its own checksum, its marker's or its manifest's compared. One that
is not there is missed where something finished needs it.
"""

import hashlib
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from kpe_core.data.datasets import load
from kpe_core.errors import StoreDamaged, UserError
from kpe_core.stages.compare import comparison_path, pairs
from kpe_core.stages.damage import (
    Damage,
    Kind,
    bytes_damage,
    json_damage,
    missing,
    other,
    parquet_damage,
    present,
    stray,
)
from kpe_core.stages.features import features_id, kept_spaces
from kpe_core.stages.garbage import NOT_OURS, PAGES
from kpe_core.stages.manifest import registered
from kpe_core.stages.resolve import network_box
from kpe_core.store.sealed import opened_bytes, require_html
from kpe_core.store.store import PARTIAL, Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.store.weights import WeightsBox
from kpe_core.study.runs import Run, space_recipe
from kpe_core.study.specs import NetworkField, TrainedSpace

DOCS = PAGES.rsplit("/", 1)[0]


class Inspector:
    """A store as it is when this is made; damages are found when asked for."""

    def __init__(self, store: Store) -> None:
        self.store = store
        paths = (o.path for o in store.objects(""))
        self.paths = {p for p in paths if not p.endswith(PARTIAL) and p.split("/")[0] not in NOT_OURS}

    def below(self, folder: str) -> set[str]:
        """Paths of what lies in a folder."""
        return {path for path in self.paths if path.startswith(f"{folder}/")}

    def names(self, folder: str) -> list[str]:
        """Names of the folders and objects directly in a folder."""
        start = len(folder) + 1
        return sorted({path[start:].split("/")[0] for path in self.below(folder)})

    # -- runs ----------------------------------------------------------------------------------------------------

    @cached_property
    def runs(self) -> dict[str, Run]:
        """Every run whose spec can be read, there or in its manifest."""
        found = {run_id: self._known(run_id) for run_id in self.names("runs")}
        return {run_id: run for run_id, run in found.items() if run is not None}

    def _known(self, run_id: str) -> Run | None:
        try:
            return registered(self.store, run_id)
        except (StoreDamaged, UserError):
            pass
        for word in ("manifest", "quarantine"):
            try:
                run = Run.model_validate(self.store.read_json(f"runs/{run_id}/{word}.json")["run"])
            except (StoreDamaged, ValueError, KeyError):
                continue
            if run.run_id == run_id:
                return run
        return None

    def is_finished(self, run_id: str) -> bool:
        return f"runs/{run_id}/manifest.json" in self.paths

    def run(self, run_id: str) -> Iterator[Damage]:
        """What lies in a run's own folder."""
        folder = f"runs/{run_id}"
        spec = json_damage(self.store, f"{folder}/run.json")
        if spec is None:
            try:
                if registered(self.store, run_id).run_id != run_id:
                    spec = other(f"{folder}/run.json", "of another run than its folder says")
            except UserError as error:
                spec = other(f"{folder}/run.json", str(error))
        yield from present([spec])
        manifest = self._word(folder)
        if manifest is None and not self.is_finished(run_id) and f"{folder}/quarantine.json" not in self.paths:
            yield Damage(f"{folder}/manifest.json", Kind.UNFINISHED, "not finalised")
        yield from present(json_damage(self.store, p) for p in self._words(folder))
        tables = set(manifest["tables"] if manifest is not None else ())
        tables |= {p.removesuffix(".parquet") for p in self.names(f"{folder}/tables") if p.endswith(".parquet")}
        for name in sorted(tables):
            path = f"{folder}/tables/{name}.parquet"
            found = parquet_damage(self.store, path)
            wanted = manifest["tables"].get(name) if manifest is not None else None
            if found is None and wanted and hashlib.sha256(self.store.read(path)).hexdigest() != wanted:
                found = other(path, "other bytes than the manifest names")
            yield from present([found])
        measures = {
            f"{folder}/measures/{name}" for name in self.names(f"{folder}/measures") if name.endswith(".parquet")
        }
        if run_id in self.runs and self.is_finished(run_id):
            measures |= {f"{folder}/measures/{s:05d}.parquet" for s in range(self._n_shards(self.runs[run_id]))}
        for path in sorted(measures):
            yield from present([parquet_damage(self.store, path)])
        ours = {f"{folder}/{name}.json" for name in ("run", "manifest", "quarantine")} | measures
        ours |= {f"{folder}/tables/{name}.parquet" for name in tables}
        yield from (stray(path) for path in sorted(self.below(folder) - ours))

    def _words(self, folder: str) -> list[str]:
        return [p for p in (f"{folder}/manifest.json", f"{folder}/quarantine.json") if p in self.paths]

    def _word(self, folder: str) -> dict[str, Any] | None:
        try:
            return dict(self.store.read_json(f"{folder}/manifest.json"))
        except StoreDamaged:
            return None

    def _n_shards(self, run: Run) -> int:
        try:
            return Trajectories(self.store, run.trajectories_id).plan().n_shards
        except (StoreDamaged, KeyError):
            return 0

    # -- weights, and what features are needed -----------------------------------------------------------------------

    def weights(self, recipe: str) -> Iterator[Damage]:
        folder = f"weights/{recipe}"
        card, data, state = (f"{folder}/{name}" for name in ("card.json", "weights.safetensors", "checkpoint.pt"))
        if state in self.paths:
            yield from present([bytes_damage(self.store, state, opened_bytes)])
        yield from (stray(path) for path in sorted(self.below(folder) - {card, data, state}))
        found = json_damage(self.store, card)
        if card in self.paths or recipe in self.recipes:
            yield from present([found])
        wanted = self.weights_sha256(recipe) if found is not None else WeightsBox(self.store, recipe).card()["sha256"]  # type: ignore[index]
        if wanted is None:
            return
        if data not in self.paths:
            yield missing(data)
        elif hashlib.sha256(self.store.read(data)).hexdigest() != wanted:
            yield other(data, "not what its card names")

    def weights_sha256(self, recipe: str) -> str | None:
        """Of the weights of that recipe, as the runs that use them name it; None where none is known."""
        if recipe not in self.recipes:
            return None
        run, space = self.recipes[recipe]
        return run.weights if space is None else run.weights_of(space.name)

    @cached_property
    def recipes(self) -> dict[str, tuple[Run, TrainedSpace | None]]:
        """What was trained for the store's runs, by recipe: the run, and the space where it is not the run's network.

        Of runs whose data are not at hand only the networks are known.
        """
        found: dict[str, tuple[Run, TrainedSpace | None]] = {}
        for run in self.runs.values():
            if isinstance(run.field, NetworkField):
                found[network_box(self.store, run, run.fingerprint).recipe] = (run, None)
            for space in run.measure.spaces:
                if isinstance(space, TrainedSpace) and (prepared := at_hand(run)) is not None:
                    found[space_recipe(space, prepared)] = (run, space)
        return found

    @cached_property
    def feature_sets(self) -> dict[str, tuple[Run, Any]]:
        """What features the runs whose data are at hand need, by their id: the run, and the space."""
        return {
            features_id(run, space, prepared): (run, space)
            for run in self.runs.values()
            if (prepared := at_hand(run)) is not None
            for space in kept_spaces(run)
        }

    # -- what belongs to no single run ---------------------------------------------------------------------------

    def comparisons(self) -> Iterator[Damage]:
        expected = set(self.below("comparisons"))
        for study in self.names("studies"):
            try:
                rows = self.store.read_json(f"studies/{study}/runs.json")
            except StoreDamaged:
                continue
            known = [self.runs[r["run"]] for r in rows if r["run"] in self.runs and self.is_finished(r["run"])]
            expected |= {comparison_path(run, base) for run, base in pairs(known)}
        for path in sorted(expected):
            if path.endswith(".parquet"):
                yield from present([parquet_damage(self.store, path)])
            else:
                yield stray(path)

    def study(self, name: str) -> Iterator[Damage]:
        """What a study's folder holds: JSON, sealed pages and telemetry, and what report.json names."""
        folder = f"studies/{name}"
        said: dict[str, str] = {}
        if f"{folder}/report.json" in self.paths and json_damage(self.store, f"{folder}/report.json") is None:
            said = self.store.read_json(f"{folder}/report.json")["plain"]
        expected = {f"{folder}/{key}" for key in (*said, *(("report.html", "findings.json") if said else ()))}
        for path in sorted(self.below(folder) | expected | {f"{folder}/runs.json"}):
            key = path.removeprefix(f"{folder}/")
            if path not in self.paths:
                yield missing(path)
            elif key in said:
                if hashlib.sha256(self.store.read(path)).hexdigest() != said[key]:
                    yield other(path)
            elif path.endswith((".png", ".txt")) and not said:
                continue  # what names their checksums is damaged itself, and told
            else:
                yield from self._sealed(path)

    def others(self) -> Iterator[Damage]:
        """Tunings, quality pages, watch records, and what belongs nowhere."""
        for tuning in self.names("tunings"):
            folder = f"tunings/{tuning}"
            numbers = [int(n.removesuffix(".json")) for n in self.names(f"{folder}/generations") if n[:5].isdigit()]
            known = {f"{folder}/generations/{n:05d}.json" for n in range(max(numbers, default=-1) + 1)}
            for path in sorted(known | self.below(folder) | {f"{folder}/tuning.json"}):
                yield from self._sealed(path)
        for path in sorted(self.below(DOCS) | self.below("watch")):
            yield from self._sealed(path)
        for run_id in self.names(PAGES):
            if (summary := f"{PAGES}/{run_id}/summary.json") not in self.paths:
                yield missing(summary)
            elif json_damage(self.store, summary) is None:
                pages = [f"{PAGES}/{run_id}/{s['suite']}.html" for s in self.store.read_json(summary)["suites"]]
                yield from (missing(page) for page in pages if page not in self.paths)
        known_folders = (
            "weights",
            "features",
            "trajectories",
            "runs",
            "comparisons",
            "studies",
            "tunings",
            "watch",
            DOCS,
        )
        for path in sorted(self.paths - {"store.json"}):
            if not path.startswith(tuple(f"{folder}/" for folder in known_folders)):
                yield stray(path)

    def _sealed(self, path: str) -> Iterator[Damage]:
        """By the ending of its name."""
        if path.endswith(".json"):
            yield from present([json_damage(self.store, path)])
        elif path.endswith(".parquet"):
            yield from present([parquet_damage(self.store, path)])
        elif path.endswith(".html"):
            yield from present([bytes_damage(self.store, path, require_html)])
        else:
            yield stray(path)


def at_hand(run: Run) -> Any:
    """The run's data; None where they are not to be had here, or are others by now."""
    try:
        prepared = load(run.data)
    except (UserError, OSError):
        return None
    return prepared if prepared.fingerprint == run.fingerprint else None
