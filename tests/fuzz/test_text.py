"""What people write, spoiled: only sentences may come of it."""

import shutil
from pathlib import Path

import pytest

from kpe_core.store.store import Store
from kpe_core.study.runs import Run
from tests.fuzz import targets_text as targets
from tests.fuzz.conftest import Fuzz


def test_study_files(fuzz: Fuzz, sandbox: Path) -> None:
    fuzz(targets.study(sandbox), 300)


def test_overrides(fuzz: Fuzz, sandbox: Path) -> None:
    fuzz(targets.overrides(sandbox), 150)


@pytest.mark.parametrize("build", [targets.formula, targets.profile, targets.names])
def test_small_texts(fuzz: Fuzz, sandbox: Path, build: object) -> None:
    fuzz(build(sandbox), 300)  # type: ignore[operator]


def test_arguments_of_the_command(fuzz: Fuzz, sandbox: Path, tiny_store: Store, tiny_runs: list[Run]) -> None:
    shutil.copytree(tiny_store.url, sandbox / "store")
    fuzz(targets.command(sandbox, str(sandbox / "store"), tiny_runs[0].run_id), 60)
