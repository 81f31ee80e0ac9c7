"""A run's last word: ``manifest.json`` makes it visible, ``quarantine.json`` keeps it from being so."""

import hashlib
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from kpe_core.errors import StoreDamaged, UserError
from kpe_core.store.schema import RUN_TABLES
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.runs import Run
from kpe_core.study.specs import Study


def register(store: Store, run: Run) -> None:
    """Write the run's spec, so that tasks need only its id."""
    path = f"runs/{run.run_id}/run.json"
    if not store.exists(path):
        store.write_json(path, run.model_dump(mode="json"))


def registered(store: Store, run_id: str) -> Run:
    """The run of that id.

    Raises
    ------
    UserError
        when its spec is none that this version knows.
    """
    try:
        return Run.model_validate(store.read_json(f"runs/{run_id}/run.json"))
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(
            f"{store.path('runs', run_id)}/run.json is no run that this version knows ({why}); remove that folder"
        ) from None


def is_finalised(store: Store, run: Run) -> bool:
    return store.exists(f"runs/{run.run_id}/manifest.json")


def remember(store: Store, study: Study, runs: list[Run]) -> None:
    """Write which runs the study is made of, in the file's order, with the names it gives them."""
    rows = [
        {"study": study.name, "position": i, "run": run.run_id, "experiment": run.experiment, "label": run.label}
        for i, run in enumerate(runs)
    ]
    store.write_json(f"studies/{study.name}/runs.json", rows)


def finalise(store: Store, run: Run, study: str, accepted: dict[str, Any] | None = None) -> None:
    """Make a run visible: its tables' hashes and its trajectories' summary, written in one object.

    ``accepted`` says who let it pass in spite of what failed, when and why; None where nothing did.
    """
    trajectories = Trajectories(store, run.trajectories_id)
    markers = [trajectories.marker(shard) for shard in sorted(trajectories.committed())]
    folder = f"runs/{run.run_id}"
    tables = {
        name: hashlib.sha256(store.read(f"{folder}/tables/{name}.parquet")).hexdigest()
        for name in RUN_TABLES
        if store.exists(f"{folder}/tables/{name}.parquet")
    }
    origin: Any = trajectories.group().attrs["provenance"]
    manifest: dict[str, Any] = {
        "run": run.model_dump(mode="json"),
        "run_id": run.run_id,
        "trajectories": trajectories.folder,
        "study": study,
        "tables": tables,
        "provenance": {**origin, "device": _devices(markers)},
        "evaluations": sum(m["evaluations"] for m in markers),
        "sampling_seconds": sum(m["seconds"] for m in markers),
        "finalised": now(),
        "accepted": accepted,
    }
    store.write_json(f"{folder}/manifest.json", manifest)
    store.remove(f"{folder}/quarantine.json")


def _devices(markers: list[dict[str, Any]]) -> str:
    """Where the shards were sampled: each device once. Markers of before there was a choice tell none."""
    return ", ".join(sorted({marker.get("device", "cpu") for marker in markers}))


def quarantine(store: Store, run: Run, failed: list[str], study: str) -> None:
    """Keep a failed run, invisible to SQL, with the expectations that failed."""
    record = {"run": run.model_dump(mode="json"), "failed": failed, "study": study, "since": now()}
    store.write_json(f"runs/{run.run_id}/quarantine.json", record)


def now() -> str:
    """This moment, UTC, to the microsecond."""
    return datetime.now(UTC).isoformat()


def manifests(store: Store) -> list[dict[str, Any]]:
    """Manifests of all finalised runs, by run id."""
    found = []
    for path in (f"runs/{i}/manifest.json" for i in store.list("runs")):
        if not store.exists(path):
            continue
        try:
            found.append(store.read_json(path))
        except StoreDamaged:
            if store.exists(path):  # else another process took the run away in between
                raise
    return found
