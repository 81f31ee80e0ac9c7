"""A store that came from elsewhere: an object that leads out of it, or is not what it should be, is damaged; no more."""

from pathlib import Path
from typing import Any

import pytest

from kpe_core.errors import StoreDamaged
from kpe_core.stages.manifest import manifests
from kpe_core.stages.remove import remove_runs
from kpe_core.store.store import Store

MANIFEST: dict[str, Any] = {
    "run_id": "ab12",
    "run": {"label": "a", "n_samples": 5, "measure": {"memorized_below": 0.3}, "states": {"keep": "none"}},
    "trajectories": "trajectories/cd34",
    "study": "s",
    "tables": {"samples": "00"},
    "provenance": {},
    "accepted": None,
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create_or_open(str(tmp_path / "store"))


def test_a_whole_manifest_is_read(store: Store) -> None:
    store.write_json("runs/ab12/manifest.json", MANIFEST | {"more": 1})
    assert manifests(store) == [MANIFEST | {"more": 1}]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"run_id": "cd34"}, "another run's, cd34"),
        ({"run_id": "../../etc"}, "run_id: string should match"),
        ({"trajectories": "../../outside"}, "trajectories: string should match"),
        ({"trajectories": "trajectories/../../outside"}, "trajectories: string should match"),
        ({"tables": {"../../x": "00"}}, "tables"),
        ({"tables": None}, "tables: input should be a valid dictionary"),
        ({"run": {}}, "run.label: field required"),
        ({"run": None}, "run"),
        ({"provenance": {"torch": [float("inf")]}}, "not JSON compliant"),
    ],
)
def test_another_is_damaged(store: Store, change: dict[str, Any], says: str) -> None:
    store.write_json("runs/ab12/manifest.json", MANIFEST | change)
    with pytest.raises(StoreDamaged, match=f"manifest.json is not what was written there: .*{says}"):
        manifests(store)


def test_nothing_outside_is_removed(store: Store, tmp_path: Path) -> None:
    """Were the ids in it believed, `kpe rm` would follow them."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "mine").write_text("mine")
    store.write_json("runs/ab12/manifest.json", MANIFEST | {"trajectories": "trajectories/../../outside"})
    store.write_json("runs/ab12/run.json", {"label": "a"})
    with pytest.raises(Exception, match=r"not what was written there|no run that this version knows"):
        remove_runs(store, ["ab12"])
    assert (tmp_path / "outside" / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("store.json", {"format": "one"}),
        ("store.json", []),
        ("studies/s/runs.json", [{"run": "../x"}]),
        ("studies/s/runs.json", {"run": "x"}),
        ("trajectories/a/plan.json", {"n_samples": 5, "shard_size": 0, "laid": {}}),
        ("trajectories/a/plan.json", {"n_samples": 10**400, "shard_size": 1, "laid": {}}),
        ("features/a/plan.json", {"n_train": -1, "n_held_out": 0, "dim": 1, "rows_at_once": 1}),
        ("weights/a/card.json", {}),
    ],
)
def test_other_objects(store: Store, path: str, value: Any) -> None:
    store.write_json(path, value)
    with pytest.raises(StoreDamaged, match="not what was written there"):
        store.read_json(path)


def test_what_nests_too_deeply(store: Store) -> None:
    store.write("studies/s/status.json", b"[" * 100_000)
    with pytest.raises(StoreDamaged, match="not valid JSON"):
        store.read_json("studies/s/status.json")
