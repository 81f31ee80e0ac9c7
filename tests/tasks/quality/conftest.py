"""Small real runs, made once; each test judges its own copy."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kpe_core.store.store import Store
from kpe_core.study.runs import Run
from tests.tasks.quality.bench import NETWORK, Bench, make_run


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Run]]:
    root = tmp_path_factory.mktemp("quality")
    store = Store.create_or_open(str(root))
    digits = {"name": "digits", "prepare": {"scaling": "symmetric"}}
    return root, {
        "exact": make_run(store, "exact"),
        "conditional": make_run(store, "conditional", fields=NETWORK),
        "semantic": make_run(
            store,
            "semantic",
            data=digits,
            fields=NETWORK,
            measure={"spaces": [{"extractor": "classifier", "epochs": 1}]},
            sampling={"nfe": 4},
        ),
    }


@pytest.fixture
def bench(made: tuple[Path, dict[str, Run]], tmp_path: Path) -> Callable[[str], Bench]:
    """``bench(kind)``: a copy of the store to spoil, and the run of that kind."""

    def copy(kind: str = "exact") -> Bench:
        shutil.copytree(made[0], tmp_path / "store")
        return Bench(Store.open(str(tmp_path / "store")), made[1][kind])

    return copy
