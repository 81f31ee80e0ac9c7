"""Quarantined runs: listed, accepted for a reason that the manifest and SQL keep, and nothing else made visible."""

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import UserError
from kpe_core.stages.accept import accept, quarantined
from kpe_core.stages.manifest import is_finalised, quarantine
from kpe_core.stages.tabulate import table_path
from kpe_core.store.schema import CHECKS
from kpe_core.store.store import Store
from kpe_core.study.runs import Run

FAILED = "samples: no sample appears twice, but 2 of 51 samples: 7, 7"


@pytest.fixture
def kept_back(tiny_store: Store, tiny_runs: list[Run], tmp_path: Path) -> tuple[Store, Run]:
    """A copy of the finished store with its first run in quarantine."""
    shutil.copytree(tiny_store.root, tmp_path / "copy")
    store, run = Store.open(str(tmp_path / "copy")), tiny_runs[0]
    row = {"run": run.run_id, "suite": "samples", "expectation": "no sample appears twice", "success": False}
    rows = [row | {"severity": "error"}, row | {"severity": "warning"}, row | {"severity": "error", "success": True}]
    columns = {name: [r.get(name) for r in rows] for name in CHECKS.names}
    store.write_table(table_path(run, "checks"), pa.table(columns, schema=CHECKS))
    store.remove(f"runs/{run.run_id}/manifest.json")
    quarantine(store, run, [FAILED], "tiny")
    return store, run


def test_listed_until_accepted(kept_back: tuple[Store, Run]) -> None:
    store, run = kept_back
    (record,) = quarantined(store)
    assert (record["run_id"], record["label"], record["failed"]) == (run.run_id, run.label, [FAILED])
    with Catalog(store) as catalog:
        assert run.run_id not in catalog.query("SELECT run FROM runs")["run"].to_pylist()
    accept(store, run.run_id, " known twin ", "someone")
    assert quarantined(store) == []
    assert not store.exists(f"runs/{run.run_id}/quarantine.json")


def test_manifest_and_views_say_who_accepted_what_and_why(kept_back: tuple[Store, Run]) -> None:
    store, run = kept_back
    accept(store, run.run_id, "known twin", "someone")
    record = store.read_json(f"runs/{run.run_id}/manifest.json")["accepted"]
    assert record | {"at": ""} == {"reason": "known twin", "by": "someone", "at": "", "failed": [FAILED]}
    with Catalog(store) as catalog:
        rows = catalog.query("SELECT run, accepted, accepted_by, accepted_at IS NULL AS n FROM runs").to_pylist()
        checks = catalog.query("SELECT accepted FROM checks ORDER BY severity, success").to_pylist()
    told = {row["run"]: (row["accepted"], row["accepted_by"], row["n"]) for row in rows}
    assert told.pop(run.run_id) == ("known twin", "someone", False)
    assert set(told.values()) == {(None, None, True)}
    assert [row["accepted"] for row in checks] == ["known twin", None, None]


def test_accepting_twice_keeps_the_first_record(kept_back: tuple[Store, Run]) -> None:
    store, run = kept_back
    first = accept(store, run.run_id, "known twin", "someone")
    manifest = store.read(f"runs/{run.run_id}/manifest.json")
    assert accept(store, run.run_id, "another reason", "someone else") == first
    assert store.read(f"runs/{run.run_id}/manifest.json") == manifest


def test_death_between_manifest_and_clean_up_is_mended(kept_back: tuple[Store, Run]) -> None:
    store, run = kept_back
    record = store.read(f"runs/{run.run_id}/quarantine.json")
    accept(store, run.run_id, "known twin", "someone")
    store.write(f"runs/{run.run_id}/quarantine.json", record)
    assert quarantined(store) == []
    accept(store, run.run_id, "known twin", "someone")
    assert not store.exists(f"runs/{run.run_id}/quarantine.json")


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_reason_is_asked_for(kept_back: tuple[Store, Run], reason: str) -> None:
    store, run = kept_back
    with pytest.raises(UserError, match="takes a reason"):
        accept(store, run.run_id, reason, "someone")
    assert not is_finalised(store, run)


def test_only_what_is_in_quarantine_can_be_accepted(kept_back: tuple[Store, Run], tiny_runs: list[Run]) -> None:
    store, run = kept_back
    with pytest.raises(UserError, match="is visible: it failed nothing"):
        accept(store, tiny_runs[1].run_id, "because", "someone")
    store.remove(f"runs/{run.run_id}/quarantine.json")
    with pytest.raises(UserError, match="is not in quarantine: it is not finished"):
        accept(store, run.run_id, "because", "someone")
    assert not is_finalised(store, run)
