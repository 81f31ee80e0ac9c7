"""Files that are not what they say: a sentence, and nothing in them is run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kpe_core.store.store import Store
from tests.fuzz import targets_files as targets
from tests.fuzz.conftest import Fuzz
from tests.fuzz.harness import Target


@pytest.mark.parametrize(
    ("build", "inputs"),
    [
        (targets.arrays, 100),
        (targets.trees, 60),
        (targets.batches, 100),
        (targets.checkpoints, 40),
        (targets.folders, 30),
    ],
)
def test_files_of_others(fuzz: Fuzz, sandbox: Path, build: Callable[[Path], Target], inputs: int) -> None:
    fuzz(build(sandbox), inputs)
    assert not (sandbox.parent / "canary").exists()


def test_a_store_with_spoiled_objects(fuzz: Fuzz, sandbox: Path, tiny_store: Store) -> None:
    fuzz(targets.stores(sandbox, tiny_store.url), 40)
