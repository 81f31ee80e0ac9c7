"""The pipeline with real processes: run, rerun, kill, other shards and workers. Slow, and the point of it all."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kpe_core.store.store import Store
from tests.same import assert_same_numbers

pytestmark = pytest.mark.slow


def kpe(*args: str, api: str | None = None) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    if api is not None:
        environment["PREFECT_API_URL"] = api
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *args], text=True, env=environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, f"{out}\n{err}"
    return out


@pytest.fixture(scope="module")
def reference(tiny_file: Path, tmp_path_factory: pytest.TempPathFactory, prefect_api: str) -> Store:
    """The tiny study, run once without trouble."""
    folder = tmp_path_factory.mktemp("reference")
    out = finish(kpe("run", str(tiny_file), "--store", str(folder), "--shard-size", "40", api=prefect_api))
    assert "report" in out
    return Store.open(str(folder))


def test_run_leaves_everything_the_user_was_promised(reference: Store) -> None:
    assert len(reference.list("runs")) == 3
    for run_id in reference.list("runs"):
        assert reference.exists(f"runs/{run_id}/manifest.json")
    html = reference.read("studies/tiny/report.html").decode()
    assert "A tiny study" in html
    assert reference.read_json("studies/tiny/findings.json")
    assert reference.exists("quality")


def test_rerun_computes_nothing_and_finds_the_same(reference: Store, tiny_file: Path, prefect_api: str) -> None:
    def dates() -> dict[str, float]:
        files = [
            p for d in ("trajectories", "runs", "weights", "comparisons") for p in Path(reference.root, d).rglob("*")
        ]
        return {str(p): p.stat().st_mtime for p in files if p.is_file()}

    before, findings = dates(), reference.read("studies/tiny/findings.json")
    finish(kpe("run", str(tiny_file), "--store", reference.root, api=prefect_api))
    assert dates() == before
    assert reference.read("studies/tiny/findings.json") == findings


@pytest.mark.parametrize("moment", ["training", "sampling"])
def test_killed_half_way_then_run_again(
    reference: Store, tiny_file: Path, tmp_path: Path, prefect_api: str, moment: str
) -> None:
    """kill -9 of driver and workers; the same command then computes what is missing, and the same bits."""
    command = ("run", str(tiny_file), "--store", str(tmp_path), "--shard-size", "40", "--workers", "1")
    process = kpe(*command, api=prefect_api)
    pattern = "weights/*/checkpoint.pt" if moment == "training" else "trajectories/*/shards/*.json"
    enough = 1 if moment == "training" else 4
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob(pattern))) < enough:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    time.sleep(1)
    kept = {p: p.stat().st_mtime_ns for p in tmp_path.glob("trajectories/*/shards/*.json")}
    finish(kpe(*command, api=prefect_api))
    assert {p: p.stat().st_mtime_ns for p in kept} == kept, "a committed shard was sampled again"
    if moment == "training":
        store = Store.open(str(tmp_path))
        cards = [store.read_json(f"weights/{recipe}/card.json") for recipe in store.list("weights")]
        assert any(card.get("resumed_at", 0) > 0 for card in cards), "training did not resume from its checkpoint"
    assert_same_numbers(reference, Store.open(str(tmp_path)))


def test_other_shards_and_workers_same_bits(
    reference: Store, tiny_file: Path, tmp_path: Path, prefect_api: str
) -> None:
    args = ("--store", str(tmp_path), "--shard-size", "100", "--workers", "1")
    finish(kpe("run", str(tiny_file), *args, api=prefect_api))
    assert_same_numbers(reference, Store.open(str(tmp_path)))


def test_two_at_once_are_refused(tiny_file: Path, tmp_path: Path, prefect_api: str) -> None:
    first = kpe("run", str(tiny_file), "--store", str(tmp_path), "--workers", "1", api=prefect_api)
    while not (tmp_path / "weights").exists():
        assert first.poll() is None
        time.sleep(0.05)
    second = kpe("run", str(tiny_file), "--store", str(tmp_path), api=prefect_api)
    _, message = second.communicate(timeout=60)
    assert second.returncode == 2
    assert "another `kpe run` of study 'tiny'" in message
    assert "Traceback" not in message
    finish(first)
    finish(kpe("verify", "--store", str(tmp_path)))


def test_own_server_is_started_and_stopped(tiny_file: Path, tmp_path: Path) -> None:
    """Nothing configured: the command brings a server, which is gone afterwards, and keeps its history."""
    only_planar = ("--set", "experiments.shaped.sampling.n_samples=20", "--set", "experiments.shaped.fields.steps=50")
    finish(kpe("run", str(tiny_file), "--store", str(tmp_path), "--workers", "1", *only_planar))
    assert (tmp_path / "prefect" / "prefect.db").exists()
    assert not (tmp_path / "prefect" / "server.json").exists()
    running = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(tmp_path) not in running
