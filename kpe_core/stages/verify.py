"""Whether what lies in a store is what was written there."""

import hashlib
from collections.abc import Iterator
from typing import Any

from kpe_core.errors import StoreDamaged, UserError
from kpe_core.stages.manifest import manifests, registered
from kpe_core.stages.references import features_told
from kpe_core.store.features import FeatureSet
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.store.weights import WeightsBox
from kpe_core.study.runs import Run


def find_run(store: Store, prefix: str) -> str:
    """The id of the one run that starts with ``prefix``.

    Raises
    ------
    UserError
        when there is none, or more than one.
    """
    known = [i for i in store.list("runs") if i.startswith(prefix)]
    if len(known) == 1:
        return known[0]
    if known:
        raise UserError(f"run {prefix!r} is ambiguous: {', '.join(known[:5])}")
    raise UserError(f"no run {prefix!r} in {store.url}; `kpe ls --store {store.url}` lists them")


def damages(store: Store, run_id: str) -> Iterator[str]:
    """What is missing from a run or differs from its markers and manifest: one sentence each, none when all is well."""
    yield from material_damages(store, run_id)
    yield from _table_damage(store, run_id)


def material_damages(store: Store, run_id: str) -> Iterator[str]:
    """The same of what its tables are made from: trajectories, weights, features of real data."""
    run = registered(store, run_id)
    trajectories = Trajectories(store, run.trajectories_id)
    if not trajectories.exists():
        yield f"{trajectories.folder} does not exist: the run was never begun"
        return
    yield from _metadata_damage(store, trajectories)
    for shard in range(trajectories.plan().n_shards):
        if shard not in trajectories.committed():
            yield f"{trajectories.folder}, shard {shard}: not sampled yet"
            continue
        try:
            marker = trajectories.marker(shard)
            found = trajectories.digests(tuple(marker["rows"]), run.batch)
        except (StoreDamaged, KeyError) as error:
            yield f"{trajectories.folder}, shard {shard}: {error}"
            continue
        for name, digest in marker["sha256"].items():
            if found.get(name) != digest:
                yield f"{trajectories.folder}/data.zarr/{name}, shard {shard} (samples {marker['rows']}): other values"
    yield from _features_damage(store, run)
    for recipe in store.list("weights"):
        card = WeightsBox(store, recipe).card()
        if card is not None and card["sha256"] in (run.weights, *run.extractors):
            try:
                WeightsBox(store, recipe).load()
            except StoreDamaged as error:
                yield str(error)


def _metadata_damage(store: Store, trajectories: Trajectories) -> Iterator[str]:
    wanted = store.read_json(f"{trajectories.folder}/plan.json")["metadata_sha256"]
    path = f"{trajectories.folder}/data.zarr/zarr.json"
    if not store.exists(path) or hashlib.sha256(store.read(path)).hexdigest() != wanted:
        yield f"{path}: not the metadata that was written"


def _features_damage(store: Store, run: Run) -> Iterator[str]:
    """Of those that are there: a run that is finished does not read them again."""
    for told in features_told(store):
        if not told.serve(run):
            continue
        features = FeatureSet(store, told.folder.removeprefix("features/"))
        absent = features.missing()
        for part in range(features.n_parts()):
            try:
                if part in absent:
                    yield f"{told.folder}, part {part}: not computed yet"
                elif not features.is_as_written(part):
                    yield f"{told.folder}/data.zarr, part {part} (points {list(features.rows(part))}): other values"
            except StoreDamaged as error:
                yield str(error)


def _table_damage(store: Store, run_id: str) -> Iterator[str]:
    manifest: dict[str, Any] | None = next((m for m in manifests(store) if m["run_id"] == run_id), None)
    if manifest is None:
        yield f"runs/{run_id}: not finalised"
        return
    for name, digest in manifest["tables"].items():
        path = f"runs/{run_id}/tables/{name}.parquet"
        if not store.exists(path):
            yield f"{path}: missing"
        elif hashlib.sha256(store.read(path)).hexdigest() != digest:
            yield f"{path}: other bytes than the manifest names"
