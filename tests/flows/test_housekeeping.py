"""``kpe cp``, ``rm``, ``gc`` as they are typed, and how they and a running study keep out of each other's way."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.cli import main
from flows.launch import reserved
from kpe_core.errors import UserError
from kpe_core.stages.garbage import collect
from kpe_core.stages.holding import have_alone, running_studies
from kpe_core.stages.requirements import standing
from kpe_core.store.store import Store
from kpe_core.study.runs import Run
from kpe_core.study.specs import Study

Kpe = Callable[..., str]


@pytest.fixture
def kpe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kpe:
    """Runs ``kpe`` with arguments, expects exit code 0; returns what it printed, blanks squeezed."""

    def call(*args: str) -> str:
        monkeypatch.setattr(sys, "argv", ["kpe", *args])
        with pytest.raises(SystemExit) as exit_:
            main()
        told = capsys.readouterr()
        assert exit_.value.code in (0, None), told.err
        return " ".join(told.out.split())

    return call


@pytest.fixture
def store(tiny_store: Store, tmp_path: Path) -> Store:
    shutil.copytree(tiny_store.root, tmp_path / "store")
    return Store.open(str(tmp_path / "store"))


def test_copy_remove_collect(kpe: Kpe, tiny: Study, store: Store, tiny_runs: list[Run], tmp_path: Path) -> None:
    planar, plain, shaped = (run.run_id for run in tiny_runs)
    there = str(tmp_path / "there")
    assert "3 runs to" in kpe("cp", "--study", "tiny", "--from", store.url, "--to", there)
    assert standing(Store.open(there), tiny).complete
    assert "0 objects sent" in kpe("cp", planar[:8], shaped, "--from", store.url, "--to", there)
    assert "whole" in kpe("verify", "--store", there)
    assert "everything is referred to" in kpe("gc", "--store", there)

    assert "2 runs would go" in kpe("rm", plain, shaped[:10], "--store", there, "--dry-run")
    assert len(Store.open(there).list("runs")) == 3
    told = kpe("rm", plain, shaped[:10], "--store", there)
    assert f"runs/{plain}" in told
    assert "2 runs removed" in told
    assert "studies/tiny/runs.json rows" in told
    assert plain not in kpe("ls", "--store", there)
    assert kpe("sql", "SELECT count(*) AS n FROM samples", "--store", there).endswith(" 240")

    listed = kpe("gc", "--store", there)
    assert "that nothing refers to; --delete deletes it" in listed
    assert listed.count("weights/") == 2
    assert len(Store.open(there).list("weights")) == 2
    assert "freed" in kpe("gc", "--store", there, "--delete")
    assert Store.open(there).list("weights") == []
    assert "nothing to delete" in kpe("gc", "--store", there, "--delete")

    assert "2 runs to" in kpe("cp", plain, shaped, "--from", store.url, "--to", there)
    assert standing(Store.open(there), tiny).complete


def test_a_copy_that_arrives_damaged_is_told(
    store: Store,
    tiny_runs: list[Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    receive = Store.receive

    def bad(target: Store, source: Store, path: str) -> None:
        if path.endswith("tables/steps.parquet"):
            target.write(path, b"PAR1")
        else:
            receive(target, source, path)

    monkeypatch.setattr(Store, "receive", bad)
    args = ["kpe", "cp", tiny_runs[0].run_id, "--from", store.url, "--to", str(tmp_path / "there")]
    monkeypatch.setattr(sys, "argv", args)
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 1
    assert "steps.parquet: other bytes" in capsys.readouterr().out


def test_a_study_and_a_collection_exclude_each_other(tiny: Study, store: Store) -> None:
    with reserved(tiny, store.url):
        assert running_studies(store) == ["tiny"]
        with pytest.raises(UserError, match="study tiny is being run"):
            collect(store, 0.0, 0.0)
    assert running_studies(store) == []
    held = have_alone(store, "nothing is deleted")
    with held, pytest.raises(UserError, match="`kpe gc`, `kpe rm` or `kpe cp` is at work"), reserved(tiny, store.url):
        pass
