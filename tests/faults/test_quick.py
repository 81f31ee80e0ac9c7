"""The most telling faults, each once: the real stages, a real disk. `make faults` tries more, and more often."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
RUN = Path(__file__).with_name("run.py")


def test_nothing_is_lost_and_nothing_wrong(tmp_path: Path) -> None:
    """Power lost, a full disk, killed: run again, all the numbers are those of a run in peace."""
    command = [sys.executable, str(RUN), "--stages", "--folder", str(tmp_path), "--trials", "3"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    trials = [json.loads(line) for line in (tmp_path / "trials.jsonl").read_text().splitlines()]
    assert len(trials) == 3
    assert [t for t in trials if "skipped" not in t], trials
