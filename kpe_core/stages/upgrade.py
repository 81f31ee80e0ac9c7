"""A store of an earlier format as one of this version's: a copy, verified before it counts as a store.

Nothing is computed, so neither data sets nor pretrained models have to be at hand; of the old store nothing is changed.
Numbers stay bit for bit what they were, and so do ids. What format 3 lacks is added: a checksum in every object (sealed.py)
and in every chunk, the hashes of what was laid out (laid.py), the shard size in every marker.
"""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr

from kpe_core.catalog.catalog import VIEWS, Catalog
from kpe_core.errors import StoreDamaged, UserError
from kpe_core.identity import FORMAT_VERSION, NUMERICS_VERSION
from kpe_core.stages.damage import Damage, Kind
from kpe_core.stages.garbage import NOT_OURS
from kpe_core.stages.verify import store_damages
from kpe_core.store.features import COMPRESSORS as OF_FEATURES
from kpe_core.store.laid import lay_out
from kpe_core.store.schema import RUN_TABLES
from kpe_core.store.sealed import PARQUET, sealed_bytes, sealed_html
from kpe_core.store.store import PARTIAL, Store, StoredObject
from kpe_core.store.trajectories import COMPRESSORS as OF_TRAJECTORIES
from kpe_core.store.trajectories import consolidate, is_sampled, regions

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore

UPGRADABLE = (3,)
"""Formats whose numbers are today's; what wrote earlier ones computed others."""
UNDER_WAY = "upgrading.json"
"""In a folder that is not yet a store: which one it is made from."""
_RELAID = ("trajectories", "features")

Tell = Callable[[int], None]
"""Is told the bytes of each old object that is done with."""


@dataclass
class Upgraded:
    """What was carried over, and what there is to say about it."""

    objects: int = 0
    arrays: int = 0
    """Sets of trajectories or features whose chunks were written again."""
    notes: list[str] = field(default_factory=list)


def require_upgradable(source: Store, target: Store) -> None:
    """
    Raises
    ------
    UserError
        when the old store is none, or one that nothing is to be done for or can be done for, or the new place is taken.
    StoreDamaged
        when the old ``store.json`` does not tell.
    """
    if not source.exists("store.json"):
        raise UserError(f"no store at {source.url}")
    about = source.about()
    if about["format"] == FORMAT_VERSION:
        raise UserError(f"{source.url} has this version's format {FORMAT_VERSION} already; there is nothing to upgrade")
    if about["format"] > FORMAT_VERSION:
        Store.open(source.url)  # says which version reads it
    if about["format"] not in UPGRADABLE or about["numerics"] != NUMERICS_VERSION:
        raise UserError(
            f"{source.url} has store format {about['format']} and numbers of numerics version {about['numerics']}; this "
            f"version computes numbers of version {NUMERICS_VERSION}, which `kpe run STUDY` does, into another folder"
        )
    if target.exists("store.json"):
        raise UserError(f"there is a store at {target.url} already; choose another folder with --to")
    if not target.list(""):
        return
    begun = _json(target, UNDER_WAY)["from"] if target.exists(UNDER_WAY) else None
    if begun != source.url:
        what = f"an unfinished upgrade of {begun}" if begun else "something else"
        raise UserError(f"{target.url} holds {what}; choose a new folder with --to")


def upgrade(source: Store, target: Store, tell: Tell = lambda size: None) -> Upgraded:
    """Write ``target`` as the new store; killed, the same call goes on. The caller keeps others from changing ``source``.

    Raises
    ------
    UserError
        see ``require_upgradable``.
    StoreDamaged
        when the old store does not hold what its own markers, cards and manifests name, or the copy differs: then
        ``target`` is no store, and nothing in ``source`` was touched.
    """
    require_upgradable(source, target)
    target.write(UNDER_WAY, json.dumps({"from": source.url}).encode())
    done = Upgraded()
    for folder in ("trajectories", "features"):
        for name in source.list(folder):
            _relay(source, target, f"{folder}/{name}", done)
            for each in source.objects(f"{folder}/{name}"):
                tell(each.size)
    plain = [each for each in to_carry(source) if each.path.split("/")[0] not in _RELAID]
    for each in sorted(
        plain, key=lambda each: each.path.endswith("/manifest.json")
    ):  # which name tables by their hashes
        _carry(source, target, each.path)
        done.objects += 1
        tell(each.size)
    _require_whole(source, target, done)
    target.settle()
    target.write_about(source.about()["numerics"])
    target.remove(UNDER_WAY)
    return done


def to_carry(source: Store) -> list[StoredObject]:
    """Every object that an upgrade reads."""
    return [
        each
        for each in source.objects("")
        if each.path.split("/")[0] not in NOT_OURS and each.path != "store.json" and not each.path.endswith(PARTIAL)
    ]


# -- objects ---------------------------------------------------------------------------------------------------------


def _carry(source: Store, target: Store, path: str) -> None:
    """One object that is no part of a Zarr group."""
    match PurePosixPath(path).suffix:
        case ".json":
            target.write_json(path, _told(source, target, path))
        case ".parquet":
            _carry_table(source, target, path)
        case ".html":
            target.write(path, sealed_html(source.read(path).decode()))
        case ".pt":
            target.write(path, sealed_bytes(source.read(path)))
        case _:
            target.receive(source, path)
            if not target.holds_same(source, path):
                raise StoreDamaged(f"{target.path(path)} is not what was copied there; try again")


def _told(source: Store, target: Store, path: str) -> Any:
    """What a JSON object says, in this format's words."""
    told = _json(source, path)
    folder, _, name = path.rpartition("/")
    if name == "manifest.json":
        told["tables"] = {table: _table_sha256(source, target, folder, table, told) for table in told["tables"]}
    elif name == "report.json":
        plain = [f"{folder}/summary.txt", *(f"{folder}/figures/{figure['name']}.png" for figure in told["figures"])]
        told["plain"] = {each.removeprefix(f"{folder}/"): _sha256(source.read(each)) for each in plain}
    elif name == "card.json" and _sha256(source.read(f"{folder}/weights.safetensors")) != told["sha256"]:
        raise StoreDamaged(f"{source.path(folder)}/weights.safetensors is not what its card.json names")
    return told


def _table_sha256(source: Store, target: Store, folder: str, table: str, manifest: dict[str, Any]) -> str:
    """Of a run's table as it is now, once it is known to be made of the one that the old manifest names."""
    path = f"{folder}/tables/{table}.parquet"
    if _sha256(source.read(path)) != manifest["tables"][table]:
        raise StoreDamaged(f"{source.path(path)} is not what its manifest.json names")
    return _sha256(target.read(path))


def _carry_table(source: Store, target: Store, path: str) -> None:
    """A Parquet file with checksums, row group by row group; the bytes are those that this version writes of the rows."""
    try:
        old = pq.ParquetFile(io.BytesIO(source.read(path)))
        # Parquet does not keep how a list's elements are called, which the schema of a run's tables does.
        known = RUN_TABLES.get(PurePosixPath(path).stem) if path.startswith("runs/") else None
        schema = known if known is not None and known.names == old.schema_arrow.names else old.schema_arrow
        sink = io.BytesIO()
        with pq.ParquetWriter(sink, schema, **PARQUET) as writer:
            for group in range(old.num_row_groups):
                writer.write_table(old.read_row_group(group).cast(schema))
        rows = old.read()
    except (pa.ArrowInvalid, OSError) as error:
        raise StoreDamaged(f"{source.path(path)} is not a readable Parquet file: {error}") from None
    target.write_parquet(path, sink.getvalue())
    # As bytes: NaN equals nothing, itself neither.
    if _as_bytes(target.read_table(path)) != _as_bytes(rows):
        raise StoreDamaged(f"{target.path(path)} does not hold the rows of {source.path(path)}")


def _as_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return sink.getvalue().to_pybytes()


# -- Zarr ------------------------------------------------------------------------------------------------------------


def _relay(source: Store, target: Store, folder: str, done: Upgraded) -> None:
    """A Zarr group with checksums in its chunks, part by part, each held against the hashes in its old marker."""
    if not source.exists(f"{folder}/plan.json"):
        done.notes.append(f"{folder} stays: it was never laid out in full, and nothing was computed for it")
        return
    plan = _json(source, f"{folder}/plan.json")
    is_features = folder.startswith("features/")
    if not is_features and _sha256(source.read(f"{folder}/data.zarr/zarr.json")) != plan["metadata_sha256"]:
        raise StoreDamaged(f"{source.path(folder)}/data.zarr/zarr.json is not what its plan.json names")
    old: zarr.Group = zarr.open_group(source.zarr(f"{folder}/data.zarr", read_only=True), mode="r")
    if not is_features:
        plan = {name: plan[name] for name in ("n_samples", "shard_size")} | {"spec": old.attrs["spec"]}
    if not target.exists(f"{folder}/plan.json"):
        origin = dict(sorted(old.attrs["provenance"].items()))  # type: ignore[union-attr]
        lay_out(target, folder, _laid_like(old, is_features), plan, origin)
    new: zarr.Group = zarr.open_group(target.zarr(f"{folder}/data.zarr"), mode="r+")
    parts = "parts" if is_features else "shards"
    for name in source.list(f"{folder}/{parts}"):
        if not target.exists(marker := f"{folder}/{parts}/{name}"):
            told = _json(source, marker)
            (_relay_part if is_features else _relay_shard)(source, folder, old, new, told)
            target.settle()
            target.write_json(marker, told if is_features else told | {"shard_size": plan["shard_size"]})
    done.arrays += 1


def _laid_like(old: zarr.Group, is_features: bool) -> Callable[["ZarrStore", dict[str, Any]], None]:
    """Lays out the same group with this format's codecs: metadata, and the coordinates' values."""

    def group(target: "ZarrStore", origin: dict[str, Any]) -> None:
        new = zarr.create_group(target, attributes=dict(old.attrs) | {"provenance": origin})
        for name, array in old.arrays():
            made = new.create_array(
                name, shape=array.shape, chunks=array.chunks, shards=array.shards, dtype=array.dtype,
                fill_value=array.fill_value, dimension_names=array.metadata.dimension_names,  # type: ignore[union-attr]
                compressors=OF_FEATURES if is_features else OF_TRAJECTORIES, attributes=dict(array.attrs),
            )  # fmt: skip
            if not is_features and not is_sampled(name, array):
                made[:] = array[:]
        if not is_features:
            consolidate(new)

    return group


def _relay_shard(source: Store, folder: str, old: zarr.Group, new: zarr.Group, marker: dict[str, Any]) -> None:
    batch = int(old.attrs["spec"]["batch"])  # type: ignore[index, call-overload, arg-type]
    for name, array in old.arrays():
        if not is_sampled(name, array):
            continue
        values = hashlib.sha256()
        for region in regions(array, tuple(marker["rows"]), batch):
            piece = _decoded(source, folder, array, region)
            values.update(piece.tobytes())
            new[name][region] = piece  # type: ignore[index]
        if values.hexdigest() != marker["sha256"][name]:
            raise StoreDamaged(_not_as_marked(source, folder, name, marker))


def _relay_part(source: Store, folder: str, old: zarr.Group, new: zarr.Group, marker: dict[str, Any]) -> None:
    start, stop = marker["rows"]
    piece = _decoded(source, folder, old["features"], (slice(start, stop),))
    if hashlib.sha256(piece.tobytes()).hexdigest() != marker["sha256"]:
        raise StoreDamaged(_not_as_marked(source, folder, "features", marker))
    new["features"][start:stop] = piece  # type: ignore[index]


def _decoded(source: Store, folder: str, array: Any, region: tuple[slice, ...]) -> Any:
    try:
        return np.ascontiguousarray(array[region])
    except Exception as error:  # each codec has its own
        raise StoreDamaged(f"{source.path(folder)}/data.zarr/{array.path} cannot be decoded: {error}") from None


def _not_as_marked(source: Store, folder: str, name: str, marker: dict[str, Any]) -> str:
    first, last = marker["rows"][0], marker["rows"][1] - 1
    return f"{source.path(folder)}/data.zarr/{name}, rows {first}–{last}, is not what its marker names"


# -- verifying -------------------------------------------------------------------------------------------------------


def _require_whole(source: Store, target: Store, done: Upgraded) -> None:
    """That everything in the new folder can be read and is what was carried there, and SQL answers from it.

    What the old store lacked itself is only noted.
    """
    known = (Kind.UNFINISHED, Kind.STRAY)
    found = [d for d in store_damages(target) if d.path not in ("store.json", UNDER_WAY) and d.kind not in known]
    lacked = [d for d in found if d.kind is Kind.MISSING and not source.exists(d.path)]
    if wrong := [d for d in found if d not in lacked]:
        raise StoreDamaged(_refused(target, wrong))
    done.notes += [f"{d} (in the old store, too; `kpe verify --repair` tries to make it again)" for d in lacked]
    with Catalog(target) as catalog:
        for view in VIEWS:
            catalog.ask(f"SELECT count(*) FROM {view}")


def _refused(target: Store, wrong: list[Damage]) -> str:
    more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
    return f"what was written to {target.url} is not whole: {'; '.join(map(str, wrong[:3]))}{more}; it is no store yet"


def _json(store: Store, path: str) -> Any:
    """A JSON object that carries no checksum."""
    try:
        return json.loads(store.read(path))
    except ValueError as error:
        raise StoreDamaged(f"{store.path(path)} is not valid JSON: {error}") from None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
