"""Where fuzzed inputs may write, and the table at the end."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kpe_core.data import cache
from tests.fuzz.harness import HEADING, Tally, Target, attack

SECONDS = float(os.environ.get("KPE_FUZZ_SECONDS", "0"))
"""For each target. 0: a fixed number of inputs, the same on every machine."""
SEED = int(os.environ.get("KPE_FUZZ_SEED", "0"))

Fuzz = Callable[..., Tally]


@pytest.fixture(scope="session")
def tallies() -> Iterator[list[Tally]]:
    """What every target came to, printed at the end."""
    found: list[Tally] = []
    yield found
    if SECONDS and found:
        total = Tally("all")
        for tally in found:
            total.answered += tally.answered
            total.refused += tally.refused
            total.misbehaved.update(tally.misbehaved)
        print("\n" + "\n".join([HEADING, *(t.row() for t in [*found, total])]))


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder an input may write to, which is the current one too."""
    folder = tmp_path / "sandbox"
    for name in ("tmp", "cache", "home"):
        (folder / name).mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv(cache.VARIABLE, str(folder / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    return folder


@pytest.fixture
def fuzz(tallies: list[Tally]) -> Fuzz:
    """Attack a target: so many inputs in the normal suite, for SECONDS with `make fuzz`."""

    def run(target: Target, inputs: int) -> Tally:
        tally = attack(target, SEED, seconds=SECONDS) if SECONDS else attack(target, SEED, inputs=inputs)
        tallies.append(tally)
        if tally.misbehaved:
            pytest.fail(f"seed {SEED}\n{tally.details()}", pytrace=False)
        return tally

    return run
