"""Every object of a store's Zarr groups held against the hashes in its plan, its markers and its chunks."""

import hashlib
from collections.abc import Iterator

import numpy as np
import zarr

from kpe_core.errors import StoreDamaged
from kpe_core.stages.damage import Damage, Kind, json_damage, missing, other, present, stray
from kpe_core.stages.inspect import Inspector
from kpe_core.store.features import FeatureSet
from kpe_core.store.trajectories import Trajectories, is_sampled, regions


def trajectory_damages(seen: Inspector, name: str) -> Iterator[Damage]:
    """Metadata, markers, and every chunk; of a chunk the samples it holds."""
    there = Trajectories(seen.store, name)
    folder, data = there.folder, f"{there.folder}/data.zarr"
    plan = json_damage(seen.store, f"{folder}/plan.json")
    if plan is not None:
        yield plan
        markers = sorted(seen.below(f"{folder}/shards"))
        yield from present(json_damage(seen.store, path) for path in markers)
        return
    laid = seen.store.read_json(f"{folder}/plan.json")["laid"]
    wrong = [d for d in (_laid(seen, data, k, sha256) for k, sha256 in sorted(laid.items())) if d is not None]
    yield from wrong
    plan_read, ours = there.plan(), {f"{folder}/plan.json", *(f"{data}/{k}" for k in laid)}
    if not any(d.path == f"{data}/zarr.json" for d in wrong):
        group, batch = there.group(), _batch(seen, there)
        for shard in range(plan_read.n_shards):
            ours.add(f"{folder}/shards/{shard:05d}.json")
            for path, found in _shard(seen, there, group, shard, batch):
                ours.add(path)
                yield from present([found])
        yield from (stray(path) for path in sorted(seen.below(folder) - ours))
        return
    yield from present(json_damage(seen.store, path) for path in sorted(seen.below(f"{folder}/shards")))


def _laid(seen: Inspector, data: str, key: str, sha256: str) -> Damage | None:
    path = f"{data}/{key}"
    if path not in seen.paths:
        return missing(path)
    return None if hashlib.sha256(seen.store.read(path)).hexdigest() == sha256 else other(path)


def _batch(seen: Inspector, there: Trajectories) -> int:
    return int(seen.store.read_json(f"{there.folder}/plan.json")["spec"]["batch"])


def _shard(
    seen: Inspector, there: Trajectories, group: zarr.Group, shard: int, batch: int
) -> Iterator[tuple[str, Damage | None]]:
    """(path, damage) of the marker and of each object of a shard."""
    marker_path = f"{there.folder}/shards/{shard:05d}.json"
    committed = marker_path in seen.paths
    damaged = json_damage(seen.store, marker_path) if committed else None
    rows = there.plan().rows(shard)
    if not committed:
        needing = [i for i, run in seen.runs.items() if run.trajectories_id == there.folder.split("/")[1]]
        kind = Kind.MISSING if any(seen.is_finished(i) for i in needing) else Kind.UNFINISHED
        damaged = Damage(marker_path, kind, f"shard {shard}: not sampled yet", rows)
    yield marker_path, damaged
    said = there.marker(shard)["sha256"] if damaged is None else {}
    for name, array in group.arrays():
        if not is_sampled(name, array):
            continue
        found: dict[str, Damage | None] = {}
        values = hashlib.sha256()
        for region in regions(array, rows, batch):
            path, here = f"{there.folder}/data.zarr/{object_key(array, region)}", (region[0].start, region[0].stop)
            found[path] = None
            try:
                values.update(np.ascontiguousarray(array[region]).tobytes())
            except Exception:
                found[path] = other(path, samples=here)
                continue
            if path not in seen.paths and committed:
                found[path] = missing(path, here)
        if said and values.hexdigest() == said.get(name):
            found = dict.fromkeys(found)  # what holds nothing but fill values has no object
        elif said and not any(found.values()):
            why = f"other values than shard {shard} was committed with"
            found = {path: other(path, why, rows) for path in found}
        yield from found.items()


def feature_damages(seen: Inspector, name: str) -> Iterator[Damage]:
    """Metadata, markers, and the chunk of every part."""
    there = FeatureSet(seen.store, name)
    folder, data = there.folder, f"{there.folder}/data.zarr"
    if (plan := json_damage(seen.store, f"{folder}/plan.json")) is not None:
        yield plan
        yield from present(json_damage(seen.store, path) for path in sorted(seen.below(f"{folder}/parts")))
        return
    laid = there.plan()["laid"]
    wrong = [d for d in (_laid(seen, data, key, sha256) for key, sha256 in sorted(laid.items())) if d is not None]
    yield from wrong
    ours = {f"{folder}/plan.json", *(f"{data}/{key}" for key in laid)}
    absent = set(there.missing())
    for part in range(there.n_parts()):
        marker, chunk = f"{folder}/parts/{part:05d}.json", f"{data}/features/c/{part}/0"
        ours |= {marker, chunk}
        points = f"points {there.rows(part)[0]}–{there.rows(part)[1] - 1}"
        said = json_damage(seen.store, marker)
        if part in absent:
            yield Damage(marker, Kind.UNFINISHED, f"part {part}: not computed yet ({points})")
        else:
            yield from present([said])
        if wrong:
            continue
        if chunk not in seen.paths:
            if part not in absent:
                yield missing(chunk)
            continue
        try:
            values = there.values_sha256(part)
            whole = part in absent or said is not None or values == there.marker(part)["sha256"]
        except StoreDamaged:
            whole = False
        if not whole:
            yield other(chunk, f"other values than were written there ({points})")
    yield from (stray(path) for path in sorted(seen.below(folder) - ours))


def object_key(array: zarr.Array, region: tuple[slice, ...]) -> str:
    """The Zarr object that holds ``region``, which lies in one."""
    outer = array.shards or array.chunks
    starts = [piece.start // size for piece, size in zip(region, outer, strict=False)]
    return "/".join([array.path, "c", *map(str, starts), *["0"] * (array.ndim - len(starts))])


def object_keys(group: zarr.Group, rows: tuple[int, int], batch: int) -> list[str]:
    """Every object that sampling writes of the samples ``rows``, as far as it is not all fill values."""
    arrays = [array for name, array in group.arrays() if is_sampled(name, array)]
    return [object_key(array, region) for array in arrays for region in regions(array, rows, batch)]
