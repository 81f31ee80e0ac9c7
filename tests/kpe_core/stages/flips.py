"""Flipping single bits in a store's objects, by kind of object, and what verify, repair and queries make of it."""

import contextlib
import io
import json
import re
import shutil
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq

from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import StoreDamaged, UserError
from kpe_core.report.files import ReportFiles
from kpe_core.stages.repair import repair
from kpe_core.stages.verify import store_damages
from kpe_core.store.schema import TRIALS
from kpe_core.store.sealed import sealed_html
from kpe_core.store.store import Store
from kpe_core.study.specs import Study
from kpe_core.telemetry.record import StatusRecord
from kpe_core.telemetry.table import ClusterLoad, TelemetryTable, WorkerLoad
from kpe_core.watch.records import Records

PLACES = ("first", "middle", "last")
UNDETERMINED = ("seconds", "finalised", "provenance", "at", "device", "sampling_seconds")
"""Fields of markers, cards and manifests that no spec determines."""
QUESTIONS = (
    *(f"SELECT * FROM {view}" for view in ("runs", "samples", "densities", "semantics", "steps", "features", "scores")),
    *(f"SELECT * FROM {view}" for view in ("theory", "comparisons", "study_runs", "checks", "trials", "telemetry")),
    "SELECT * FROM states",
    "SELECT * FROM trajectory WHERE state = 1",
)


def kind_of(path: str) -> str:
    """What an object is, whosesoever it is: its path without ids and numbers."""
    path = re.sub(r"/[0-9a-f]{16}(-[0-9a-f]{16})?(?=[/.])", "/*", path)
    path = re.sub(r"^studies/\w+/", "studies/*/", re.sub(r"/figures/.*png$", "/figures/*.png", path))
    path = re.sub(r"\d{8}T\d+Z|\d{5}", "N", path)
    path = re.sub(r"/c/[\d/]+$", "/c", path)
    path = re.sub(
        r"^(trajectories.*data\.zarr)/(sample|label|step|t_step|dt|eta|t|grid_index)/c$", r"\1/(coordinate)/c", path
    )
    path = re.sub(r"^(trajectories.*data\.zarr)/(?!x1?/|\()[a-z_0-9]+/c$", r"\1/(energies …)/c", path)
    return re.sub(r"^(trajectories.*data\.zarr)/[a-z_0-9]+/zarr.json$", r"\1/(array)/zarr.json", path)


def paths_by_kind(store: Store) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in store.objects(""):
        if not each.path.startswith("locks/"):
            found.setdefault(kind_of(each.path), []).append(each.path)
    return found


def flip(store: Store, path: str, place: str, bit: int) -> None:
    """Change one bit of the object's first, middle or last byte."""
    data = bytearray(store.read(path))
    data[{"first": 0, "middle": len(data) // 2, "last": len(data) - 1}[place]] ^= 1 << bit
    if store.is_local:
        Path(store.path(path)).write_bytes(bytes(data))
    else:
        store.write(path, bytes(data))


def state(store: Store) -> dict[str, tuple[bytes, float]]:
    """Bytes and time of every object."""
    objects = [o for o in store.objects("") if not o.path.startswith("locks/")]
    return {o.path: (store.read(o.path), o.modified) for o in objects}


def is_as_before(path: str, now: bytes, before: bytes) -> bool:
    """Bit-identical; of JSON, but for the fields that no spec determines, and of measurements for how long they took."""
    if now == before:
        return True
    if re.match(r"runs/\w+/measures/", path):
        new, old = (pq.read_table(io.BytesIO(data)) for data in (now, before))
        return bool(new.equals(old))
    if not path.endswith(".json") or path.endswith("zarr.json"):
        return False
    return bool(_determined(json.loads(now)) == _determined(json.loads(before)))


def _determined(value: dict[str, object]) -> dict[str, object]:
    held = value.get("holds", value)
    return {k: v for k, v in held.items() if k not in UNDETERMINED} if isinstance(held, dict) else {"": held}


def answers(store: Store) -> list[str]:
    """What each question says: its answer in order, or that it was refused."""
    told = []
    try:
        with Catalog(store) as catalog:
            for question in QUESTIONS:
                try:
                    told.append(str(catalog.ask(f"{question} ORDER BY ALL").to_pylist()))
                except (StoreDamaged, UserError):
                    told.append("refused")
    except (StoreDamaged, UserError):
        return ["refused"] * len(QUESTIONS)
    return told


def with_everything(store: Store, study: Study) -> None:
    """Write into a finished store what a flow run leaves beside: report, telemetry, records of a tuning and a watch."""
    ReportFiles(store, study.name).write(study)
    now = datetime(2026, 1, 2, tzinfo=UTC)
    telemetry = TelemetryTable(store, study.name, now, 10)
    telemetry.add(1.0, ClusterLoad((WorkerLoad("a", 1, 2, 3),)), 5, 6)
    telemetry.write()
    StatusRecord(study.name, now.isoformat(), now.isoformat(), 5.0).written(store)
    store.write(f"studies/{study.name}/performance.html", sealed_html("<html>how it went</html>"))
    store.write_json("tunings/0123456789abcdef/tuning.json", {"study": study.name, "rungs": [8, 16]})
    store.write_json("tunings/0123456789abcdef/generations/00000.json", [{"alpha0": 0.5}])
    store.write_table("tunings/0123456789abcdef/trials.parquet", TRIALS.empty_table())
    Records(store, "every", "template").put("ab" * 32, "Model_250", "done")
    for run_id in store.list("runs")[:1]:
        store.write(f"quality/docs/runs/{run_id}/samples.html", sealed_html("<html>all is well</html>"))
        store.write_json(f"quality/docs/runs/{run_id}/summary.json", {"run": run_id, "suites": [{"suite": "samples"}]})
    store.write("quality/docs/index.html", sealed_html("<html>every run</html>"))


@dataclass
class Tally:
    """Of one kind of object: corruptions, and how many were found, repaired, refused; questions answered otherwise."""

    tried: int = 0
    found: int = 0
    repaired: int = 0
    removed: int = 0
    refused: int = 0
    wrong: int = 0
    notes: Counter[str] = field(default_factory=Counter)


def corrupt(store: Store, path: str, place: str, bit: int, asked: list[str] | None, tally: Tally) -> None:
    """One corruption: found, refused by queries, repaired, and nothing else changed. The store is as before afterwards."""
    before = state(store)
    tally.tried += 1
    flip(store, path, place, bit)
    damages = store_damages(store)
    named = {damage.path for damage in damages}
    if path in named and named == {path}:
        tally.found += 1
    else:
        tally.notes[f"named {sorted(named)[:3]} for {path}"] += 1
    if asked is not None:
        now = answers(store)
        tally.refused += "refused" in now
        tally.wrong += any(a not in ("refused", b) for a, b in zip(now, asked, strict=True))
    outcomes = list(repair(store, damages))
    after = state(store)
    tally.notes.update(o.said for o in outcomes if not o.repaired)
    touched = {p for p in before.keys() | after.keys() if p != path and before.get(p) != after.get(p)}
    if touched:
        tally.notes[f"touched {sorted(touched)[:3]}"] += 1
    elif path not in after:
        tally.removed += 1
    elif is_as_before(path, after[path][0], before[path][0]) and not store_damages(store):
        tally.repaired += 1
    else:
        tally.notes["not as before"] += 1
    store.write(path, before[path][0])


def copied(store: Store, to: Path) -> Store:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(to)
    shutil.copytree(store.root, to)
    return Store.open(str(to))


def table(tallies: dict[str, Tally]) -> str:
    """One line a kind, and their sum."""
    lines = [f"{'kind':70} {'flips':>6} {'found':>6} {'repaired':>8} {'removed':>8} {'refused':>8} {'wrong':>6}"]
    rows = [*sorted(tallies.items()), ("all", _sum(tallies))]
    for kind, t in rows:
        lines.append(f"{kind:70} {t.tried:6} {t.found:6} {t.repaired:8} {t.removed:8} {t.refused:8} {t.wrong:6}")
        lines += [f"    {n} × {note}" for note, n in t.notes.items()]
    return "\n".join(lines)


def _sum(tallies: dict[str, Tally]) -> Tally:
    whole = Tally()
    for t in tallies.values():
        for name in ("tried", "found", "repaired", "removed", "refused", "wrong"):
            setattr(whole, name, getattr(whole, name) + getattr(t, name))
    return whole
