"""``kpe data``: what is here, what is missing, how to provide it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flows.commands.data import list_sets, show_set
from kpe_core.errors import UserError
from kpe_core.study.names import DATASETS


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KPE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("KPE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_lists_every_set_with_its_state(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (elsewhere / "data" / "image_folder").mkdir(parents=True)
    list_sets()
    lines = {words[0]: line for line in capsys.readouterr().out.splitlines() if (words := line.split())}
    assert set(DATASETS) <= set(lines)
    assert "here" in lines["digits"].split()
    assert "here" in lines["image_folder"].split()
    assert "missing" in lines["cifar10"].split()
    assert str(elsewhere / "data" / "cifar10") in lines["cifar10"]


def test_shows_what_a_set_holds(capsys: pytest.CaptureFixture[str]) -> None:
    show_set("faces", None)
    text = said(capsys)
    for part in (
        "100 real faces",
        "scikit-image",
        "points 100",
        "shape 25×25 (image)",
        "classes 1: face",
        "state here",
    ):
        assert part in text


def test_shows_what_is_missing_and_how_to_provide_it(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_set("celeba", None)
    text = said(capsys)
    for part in (
        "mmlab.ie.cuhk.edu.hk",
        "list_eval_partition.txt",
        "img_align_celeba is missing",
        "KPE_DATA",
        "size (default 32)",
    ):
        assert part in text


def test_looks_where_it_is_told_and_knows_the_fingerprint_once_prepared(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from kpe_core.data.datasets import load
    from kpe_core.study.specs import DataSpec

    np.savez(elsewhere / "x.npz", x=np.random.default_rng(0).normal(size=(20, 3)), y=np.arange(20) % 2)
    show_set("array", str(elsewhere / "x.npz"))
    text = said(capsys)
    assert "points 20 shape 3 (points) classes 2: 0, 1" in text
    assert "fingerprint known once" in text
    fingerprint = load(DataSpec(name="array", root=str(elsewhere / "x.npz"))).split_fingerprint
    show_set("array", str(elsewhere / "x.npz"))
    assert f"fingerprint {fingerprint}" in said(capsys)


def test_damage_is_told_not_thrown(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (elsewhere / "x.npy").write_bytes(b"garbage")
    show_set("array", str(elsewhere / "x.npy"))
    assert "x.npy: cannot be read as an array of numbers" in said(capsys)


@pytest.mark.parametrize(("name", "root"), [("mnst", None), ("digits", "/somewhere")])
def test_mistakes_are_the_users(name: str, root: str | None) -> None:
    with pytest.raises(UserError, match=r"did you mean 'mnist'|'root' is not a choice"):
        show_set(name, root)


def test_is_light(elsewhere: Path) -> None:
    """Neither torch nor Prefect, SciPy or scikit-learn for a list."""
    code = (
        "import sys; from flows.commands.data import list_sets; list_sets(); "
        "print([m for m in ('torch', 'prefect', 'great_expectations', 'scipy', 'sklearn', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_folder_whose_name_is_no_text_is_shown_escaped(elsewhere: Path) -> None:
    """Found by fuzzing: a terminal of UTF-8 takes no lone half of a character."""
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "data", "array", "--root", b"no text: \xff"], capture_output=True, text=True,
        env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert r"no text: \udcff" in done.stdout
