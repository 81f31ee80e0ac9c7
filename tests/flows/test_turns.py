"""One study in one store is one run's at a time: real processes, without any server."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.launch import reserved
from kpe_core.errors import UserError
from kpe_core.study.specs import Study

HOLD = """
import sys, time
from flows.launch import reserved
from kpe_core.study.load import load_study
with reserved(load_study(sys.argv[1]), sys.argv[2], lambda told: print("waiting", flush=True)):
    print("in", flush=True)
    sys.stdin.readline()
    print("out", time.time(), flush=True)
"""


def hold(study: Path, store: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(study), str(store)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> float:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return float(line(process).split()[1])


def test_the_second_waits_for_the_first_and_one_that_may_not_wait_is_refused(
    tiny: Study, tiny_file: Path, tmp_path: Path
) -> None:
    first = hold(tiny_file, tmp_path)
    assert line(first) == "in"
    second = hold(tiny_file, tmp_path)
    assert line(second) == "waiting"
    with pytest.raises(UserError, match="another `kpe run` of study 'tiny'"), reserved(tiny, str(tmp_path)):
        pass
    ended = end(first)
    assert line(second) == "in"
    assert time.time() >= ended
    second.kill()  # and nobody is locked out by a run that was killed
    second.wait()
    with reserved(tiny, str(tmp_path)) as store:
        assert store.root == str(tmp_path)
    first.wait()
