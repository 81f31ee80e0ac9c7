"""Quarantined runs: which there are, and letting one pass for a reason."""

from typing import Any

from kpe_core.errors import UserError
from kpe_core.stages.manifest import finalise, is_finalised, now, registered
from kpe_core.store.store import Store


def quarantined(store: Store) -> list[dict[str, Any]]:
    """Every run in quarantine, the latest last: run_id, label, experiment, study, since, failed (sentences)."""
    found = []
    for run_id in store.list("runs"):
        path = f"runs/{run_id}/quarantine.json"
        if store.exists(path) and not store.exists(f"runs/{run_id}/manifest.json"):
            record = store.read_json(path)
            told = {name: record["run"][name] for name in ("label", "experiment")}
            found.append({"run_id": run_id, **told, **{name: record[name] for name in ("study", "since", "failed")}})
    return sorted(found, key=lambda record: record["since"])


def accept(store: Store, run_id: str, reason: str, by: str) -> dict[str, Any]:
    """Make a quarantined run visible, its manifest saying who accepted what, when and why; returns that record.

    A run that was accepted before keeps its first record. A rerun of the study leaves it alone, as any visible run.

    Raises
    ------
    UserError
        without a reason, or when the run is not in quarantine.
    """
    if not reason.strip():
        raise UserError(
            'accepting a run takes a reason: --reason "what is wrong with it, and why that does not matter"'
        )
    run = registered(store, run_id)
    if is_finalised(store, run):
        before = store.read_json(f"runs/{run_id}/manifest.json").get("accepted")
        if before is None:
            raise UserError(f"run {run.label} ({run_id}) is visible: it failed nothing that would need accepting")
        store.remove(f"runs/{run_id}/quarantine.json")
        return dict(before)
    path = f"runs/{run_id}/quarantine.json"
    if not store.exists(path):
        raise UserError(f"run {run.label} ({run_id}) is not in quarantine: it is not finished, and was not checked yet")
    record = store.read_json(path)
    accepted = {"reason": reason.strip(), "by": by, "at": now(), "failed": record["failed"]}
    finalise(store, run, record["study"], accepted)
    return accepted
