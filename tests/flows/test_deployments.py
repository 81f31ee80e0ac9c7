"""Everything deployed to a real server and run by a real worker, with a study that takes no time. Slow."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kpe_core.store.store import Store
from tests.kpe_core.watch.test_look import TEMPLATE, checkpoint

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MICRO = """
name: micro
experiments:
  - name: planar
    data: {name: dense_sparse, n_train: 60}
    fields: {kind: exact}
    sampling: {n_samples: 40, nfe: 10, batch: 20}
"""
DEPLOYED = {
    "analyze", "nightly", "notice", "on-demand", "report", "sample", "watch-checkpoints", "weekly",
}  # fmt: skip


class Deployed:
    """A server with everything on it, and a folder of its own."""

    def __init__(self, api: str, folder: Path) -> None:
        # A connection kept alive may be closed by the server just when it is used again.
        self.http = httpx.Client(base_url=api, timeout=30, limits=httpx.Limits(max_keepalive_connections=0))
        self.folder, self.store = folder, folder / "store"
        self.study = folder / "micro.yaml"
        self.study.write_text(MICRO)
        self.sampling = ""
        """Id of the run that samples it."""

    def post(self, path: str, *several: Any, **body: Any) -> Any:
        for _ in range(30):
            answer = self.http.post(path, json=list(several) or body)
            if answer.status_code != 503:  # its database is busy: what Prefect's own client tries again, too
                break
            time.sleep(1)
        assert answer.is_success, answer.text
        return answer.json()

    def deployments(self) -> dict[str, dict[str, Any]]:
        return {d["name"]: d for d in self.post("/deployments/filter")}

    def start(self, deployment: str, **parameters: Any) -> str:
        """A run's id."""
        given = {"study": str(self.study), "store": str(self.store)} | parameters
        found = self.deployments()[deployment]
        known = found["parameter_openapi_schema"]["properties"]
        given = {name: value for name, value in given.items() if name in known}
        return str(self.post(f"/deployments/{found['id']}/create_flow_run", parameters=given)["id"])

    def finish(self, run: str, state: str = "COMPLETED") -> str:
        """Its final state's message."""
        found = wait_for(lambda: (r := self.http.get(f"/flow_runs/{run}").json()).get("state_type") in ENDS and r)
        assert found["state_type"] == state, found["state"]
        return str(found["state"]["message"])

    def logs(self, run: str) -> str:
        wanted = {"flow_run_id": {"any_": [run]}}
        return "\n".join(line["message"] for line in self.post("/logs/filter", logs=wanted))

    def artifacts(self, key: str) -> list[str]:
        """Its history, the latest last."""
        found = self.post("/artifacts/filter", artifacts={"key": {"any_": [key]}})
        return [str(a["data"]) for a in sorted(found, key=lambda a: a["created"])]

    def runs_of(self, deployment: str) -> list[dict[str, Any]]:
        wanted = {"name": {"any_": [deployment]}}
        return list(self.post("/flow_runs/filter", deployments=wanted))


ENDS = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def wait_for(found: Any, seconds: float = 180) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.3)
    return value


def environment(api: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "KPE_"))}
    return clean | {"PREFECT_API_URL": api, "PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "1"}


def kpe_deploy(api: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "deploy"], env=environment(api), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.fixture(scope="module")
def deployed(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("deployed")
    first = kpe_deploy(prefect_api)
    assert first.wait(120) == 0, first.communicate()
    log = (folder / "worker.log").open("wb")
    worker = subprocess.Popen(
        [sys.executable, "-m", "prefect", "worker", "start", "--pool", "kpe", "--type", "process"],
        env=environment(prefect_api), stdout=log, stderr=log, start_new_session=True, cwd=folder,
    )  # fmt: skip
    try:
        yield Deployed(prefect_api, folder)
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


@pytest.fixture(scope="module")
def watching(deployed: Deployed) -> str:
    """The watcher's deployment, on a schedule over a folder with a whole, a half-written and a broken checkpoint."""
    folder = deployed.folder / "checkpoints"
    folder.mkdir()
    (deployed.folder / "every.yaml").write_text(TEMPLATE)
    checkpoint(folder / "Model_250")
    (folder / "half").write_bytes((folder / "Model_250").read_bytes()[:5000])  # just now
    (folder / "broken").write_bytes(b"no model at all")
    os.utime(folder / "broken", (0, 0))
    parameters = {
        "folder": str(folder), "study": str(deployed.folder / "every.yaml"), "store": str(deployed.folder / "seen"),
        "settle_seconds": 600,
    }  # fmt: skip
    watcher = str(deployed.deployments()["watch-checkpoints"]["id"])
    every = {"active": True, "schedule": {"interval": 12, "timezone": "UTC"}, "parameters": parameters}
    deployed.post(f"/deployments/{watcher}/schedules", every)
    return watcher


def test_deployed_twice_everything_is_there_once(deployed: Deployed, prefect_api: str) -> None:
    deployed.sampling = deployed.start("sample", shard_size=20, workers=1)  # it takes a while, and is looked at below
    again = kpe_deploy(prefect_api)
    out, _ = again.communicate(timeout=120)
    assert again.returncode == 0, out
    assert "automations  kpe-failed, kpe-moved" in out
    assert set(deployed.deployments()) >= DEPLOYED
    queues = {q["name"]: q["priority"] for q in deployed.post("/work_pools/kpe/queues/filter")}
    assert queues["urgent"] < queues["on-demand"] < queues["scheduled"]
    assert sorted(a["name"] for a in deployed.post("/automations/filter")) == ["kpe-failed", "kpe-moved"]
    nightly = deployed.deployments()["nightly"]
    assert nightly["work_queue_name"] == "scheduled"
    assert nightly["schedules"][0]["schedule"] == {"cron": "0 3 * * *", "timezone": "UTC", "day_or": True}


def test_a_form_has_descriptions_bounds_and_choices_and_refuses_what_is_out_of_them(deployed: Deployed) -> None:
    found = deployed.deployments()["on-demand"]
    fields = found["parameter_openapi_schema"]["properties"]
    assert "theory" in fields["study"]["anyOf"][0]["enum"]
    assert fields["cluster_profile"]["anyOf"][0]["enum"][-1] == "slurm"
    assert fields["shard_size"]["minimum"] == 1
    assert all(field["description"] for field in fields.values())
    for wrong in ({"study": "frist-look"}, {"shard_size": 0}, {"overrides": ["no value"]}):
        answer = deployed.http.post(f"/deployments/{found['id']}/create_flow_run", json={"parameters": wrong})
        assert answer.status_code == 409, answer.text


def test_sample_then_analyze(deployed: Deployed) -> None:
    deployed.finish(deployed.sampling)
    store = Store.open(str(deployed.store))
    assert store.list("trajectories")
    assert not store.exists("studies/micro/runs.json"), "no study of the store yet, though it is told how sampling went"
    assert not any(store.exists(f"runs/{run}/tables") for run in store.list("runs"))
    sampled = {p: p.stat().st_mtime_ns for p in deployed.store.glob("trajectories/*/shards/*")}
    # Meanwhile what cannot work says so in a sentence, and the automation passes it on.
    failing = deployed.start("report", store=str(deployed.folder / "nowhere"))
    deployed.finish(deployed.start("analyze", workers=1))
    assert {p: p.stat().st_mtime_ns for p in deployed.store.glob("trajectories/*/shards/*")} == sampled
    assert store.exists("studies/micro/report.html")
    assert deployed.artifacts("findings-micro")
    assert "no store at" in deployed.finish(failing, "FAILED")
    assert "kpe_core" not in deployed.logs(failing), "the traceback of a user's mistake"
    (notice,) = wait_for(lambda: deployed.artifacts("notices"))
    assert "kpe report: report of micro" in notice
    assert "no store at" in notice


def test_two_reruns_at_once_take_turns_and_tell_that_nothing_moved(deployed: Deployed, watching: str) -> None:
    runs = [deployed.start("nightly"), deployed.start("on-demand")]
    again = deployed.start("report")
    for run in (*runs, again):
        deployed.finish(run)
    told = deployed.artifacts("moved-micro")
    assert len(told) == 2
    assert all(text.startswith("**Nothing moved**") and "Reused: planar" in text for text in told)
    assert len(deployed.artifacts("notices")) == 1, "nobody is told of nothing"


def test_what_a_change_moves_is_told_and_a_failing_study_stops_no_other(deployed: Deployed) -> None:
    changed = ["experiments.0.data.n_train=8", "experiments.0.sampling.seed=9"]
    deployed.finish(deployed.start("on-demand", overrides=changed, workers=1))
    *_, moved = deployed.artifacts("moved-micro")
    assert "Computed new: planar" in moved
    assert "40 of 40 samples" in moved
    assert "**beyond**" in moved
    moves = {"event": {"name": ["kpe.finding.moved"]}}
    (event,) = wait_for(lambda: deployed.post("/events/filter", filter=moves)["events"])
    assert event["resource"]["prefect.resource.id"] == "kpe.study.micro"
    assert event["payload"]["scores"] > 0
    # Back to what it was: reused, and moved again. The first of the sweep's studies is not there.
    sweep = deployed.start("weekly", studies=["gone.yaml", str(deployed.study)])
    message = deployed.finish(sweep, "FAILED")
    assert message.startswith("1 of 2 studies failed: gone.yaml: no study 'gone.yaml'")
    *_, back = deployed.artifacts("moved-micro")
    assert "Reused: planar" in back
    assert "**beyond**" in back
    notices = wait_for(lambda: len(found := deployed.artifacts("notices")) == 4 and found)
    assert sum("study micro: " in text for text in notices) == 2
    assert any("1 of 2 studies failed" in text for text in notices)


def test_a_checkpoint_in_a_watched_folder_starts_its_study_by_schedule_and_once(
    deployed: Deployed, watching: str
) -> None:
    def looks() -> list[dict[str, Any]]:
        return [r for r in deployed.runs_of("watch-checkpoints") if r["state_type"] == "COMPLETED"]

    wait_for(lambda: len(looks()) >= 2)
    for schedule in deployed.http.get(f"/deployments/{watching}/schedules").json():
        deployed.http.delete(f"/deployments/{watching}/schedules/{schedule['id']}")
    assert all(run["auto_scheduled"] for run in looks())
    store = deployed.folder / "seen"
    told = [json.loads(path.read_text())["holds"] for path in store.glob("watch/every/*.json") if path.stem != "seen"]
    assert {r["file"]: r["state"] for r in told} == {"Model_250": "started", "broken": "refused"}
    name = next(r["study"] for r in told if r["state"] == "started")
    (started,) = [r for r in deployed.runs_of("on-demand") if r["name"] == f"rerun {name}"]
    deployed.finish(started["id"])
    assert (store / "studies" / name / "report.html").exists()
