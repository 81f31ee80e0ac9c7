"""When one run goes wrong, the others are finished, and the message says what happened."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prefect.artifacts import Artifact

import tasks.judge
import tasks.sample
import tasks.train
from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import NumericalTrouble, QualityFailed
from kpe_core.stages import probe
from kpe_core.stages import sample as stage
from kpe_core.stages.accept import accept
from kpe_core.stages.accept import quarantined as quarantines
from kpe_core.stages.manifest import registered
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.runs import Run
from kpe_core.study.specs import Study
from tasks.quality import states
from tests.kpe_core.sampling.known import Formula


def outcome(study: Study, folder: Path) -> tuple[Store, BaseException | None, list[str], list[str]]:
    """Run the study in this process: store, error, labels of finished and of quarantined runs."""
    from flows.launch import launch

    store = Store.create_or_open(str(folder))
    error = launch(study, store, None, 60)

    def labels(marker: str) -> list[str]:
        paths = [f"runs/{i}/{marker}.json" for i in store.list("runs")]
        return sorted(store.read_json(p)["run"]["label"] for p in paths if store.exists(p))

    return store, error, labels("manifest"), labels("quarantine")


@pytest.mark.usefixtures("api")
def test_a_field_that_explodes(tiny: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(store: Store, run: Run, shard: int) -> dict[str, Any]:
        if run.label == "planar" and shard == 2:
            raise NumericalTrouble("run planar, samples 120–139: velocity is not finite")
        return stage.sample_shard(store, run, shard)

    monkeypatch.setattr(tasks.sample, "sample_shard", explode)
    store, error, finished, quarantined = outcome(tiny, tmp_path)
    assert isinstance(error, NumericalTrouble)
    assert "samples 120–139" in str(error)
    assert (finished, quarantined) == (["shaped kts(0, 0.02)", "shaped plain"], [])
    planar = next(i for i in store.list("runs") if not store.exists(f"runs/{i}/manifest.json"))
    trajectories = Trajectories(store, store.read_json(f"runs/{planar}/run.json") and _id(store, planar))
    assert trajectories.missing() == [2], "the other shards are kept"


@pytest.mark.usefixtures("api")
def test_odd_fields(tiny: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN from the middle on: stopped, with sample, step and time. Ignoring t: finished, and its checks say so."""

    def late_nan(x: torch.Tensor, t: float) -> torch.Tensor:
        v = x.cos() + t
        if t >= 0.5:
            v[3:4] = torch.nan  # the trust's own question is about fewer rows than a batch has
        return v

    def odd(store: Store, run: Run, *more: Any) -> Any:
        if run.label == "shaped plain":
            return Formula(late_nan)
        return Formula(lambda x, t: -x) if run.label.startswith("shaped kts") else fields(store, run, *more)

    fields = stage.field_of
    for module in (stage, probe, states):
        monkeypatch.setattr(module, "field_of", odd)
    store, error, finished, quarantined = outcome(tiny, tmp_path)
    assert isinstance(error, NumericalTrouble)
    assert re.search(r"shaped plain, sample 3: .*step \d+.*t = 0\.5", str(error)), str(error)
    assert (finished, quarantined) == (["planar", "shaped kts(0, 0.02)"], [])
    with Catalog(store) as catalog:
        found = catalog.query(
            "SELECT run_label FROM checks JOIN runs USING (run) WHERE NOT success AND expectation LIKE '%ignores t%'"
        )
    assert [row["run_label"] for row in found.to_pylist()] == ["shaped kts(0, 0.02)"]
    assert not any(shard for run in store.list("runs") for shard in _committed_of(store, run, "shaped plain"))


def _committed_of(store: Store, run_id: str, label: str) -> set[int]:
    run = registered(store, run_id)
    return Trajectories(store, run.trajectories_id).committed() if run.label == label else set()


@pytest.mark.usefixtures("api")
def test_a_training_that_diverges(tiny: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*args: Any) -> dict[str, Any]:
        raise NumericalTrouble("training loss is nan at step 17; lower learning_rate (0.001)")

    monkeypatch.setattr(tasks.train, "network_weights", diverge)
    _, error, finished, _ = outcome(tiny, tmp_path)
    assert isinstance(error, NumericalTrouble)
    assert "at step 17" in str(error)
    assert finished == ["planar"]


@pytest.mark.usefixtures("api")
def test_a_run_that_fails_its_checks_is_quarantined(
    tiny: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meddle(store: Store, run: Run, shard: int) -> dict[str, Any]:
        marker = stage.sample_shard(store, run, shard)
        if run.label == "planar" and shard == 0:
            group = Trajectories(store, run.trajectories_id).group("r+")
            group["kpe"][7] = 1.01 * np.asarray(group["kpe"][7])  # type: ignore[index, operator]
        return marker

    monkeypatch.setattr(tasks.sample, "sample_shard", meddle)
    store, error, finished, quarantined = outcome(tiny, tmp_path)
    assert isinstance(error, QualityFailed)
    assert "kpe is the sum over the steps" in str(error)
    assert "7" in str(error)
    assert quarantined == ["planar"]
    assert "planar" not in finished
    assert store.exists("studies/tiny/report.html"), "the runs that passed are reported"
    artifact = Artifact.get("quarantine-tiny")
    assert artifact is not None
    rows = [row for row in json.loads(str(artifact.data)) if row["expectation"] == "kpe is the sum over the steps"]
    assert [(row["run"], row["rows"], row["severity"]) for row in rows] == [("planar", ["7"], "error")]

    (record,) = quarantines(store)
    accept(store, record["run_id"], "a trial", "someone")
    monkeypatch.setattr(tasks.judge, "judge_runs", lambda *_: pytest.fail("judged again"))
    _, error, finished, quarantined = outcome(tiny, tmp_path)
    assert (error, quarantined) == (None, [])
    assert "planar" in finished
    page = store.read("studies/tiny/report.html").decode()
    assert "accepted: a trial" in page


def _id(store: Store, run_id: str) -> str:
    from kpe_core.stages.manifest import registered

    return registered(store, run_id).trajectories_id


@pytest.mark.usefixtures("api")
def test_runs_measured_in_two_ways_share_their_trajectories(tiny: Study, tmp_path: Path) -> None:
    first = tiny.experiments[0]
    again = first.model_copy(update={"name": "again", "measure": first.measure.model_copy(update={"densities": ()})})
    study = tiny.model_copy(update={"experiments": (first, again)})
    store, error, finished, _ = outcome(study, tmp_path)
    assert error is None
    assert finished == ["again", "planar"]
    assert len(store.list("trajectories")) == 1
