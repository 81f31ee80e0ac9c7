"""Runs as the store remembers them."""

from pathlib import Path

import pytest

from kpe_core.errors import UserError
from kpe_core.stages.manifest import registered
from kpe_core.store.store import Store
from kpe_core.study.runs import Run


def test_a_run_this_version_does_not_know_is_named(tmp_path: Path, tiny_runs: list[Run]) -> None:
    store = Store.create_or_open(str(tmp_path))
    spec = tiny_runs[0].model_dump(mode="json") | {"solver": "rk45"}
    store.write_json("runs/abc/run.json", spec)
    with pytest.raises(UserError, match=r"runs/abc/run\.json is no run that this version knows"):
        registered(store, "abc")
