"""``kpe models``."""

import sys
from pathlib import Path

import pytest

from flows.cli import main
from kpe_core.store.store import Store
from tests.kpe_core.fields.pretrained.written import authors_file


def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *args: str) -> str:
    monkeypatch.setattr(sys, "argv", ["kpe", "models", *args])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code in (0, None)
    return " ".join(capsys.readouterr().out.split())


def test_lists_layouts_and_what_the_store_has_trained(
    tiny_store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(monkeypatch, capsys, "--store", tiny_store.url)
    for layout in ("authors_unet", "torchcfm", "diffusers", "exported", "torchscript", "function"):
        assert layout in out
    recipes = tiny_store.list("weights")
    assert recipes
    for recipe in recipes:
        assert recipe in out
    assert "mlp digits, 64 points 2500" in out


def test_says_what_a_file_looks_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = authors_file(tmp_path / "Model_250")
    out = said(monkeypatch, capsys, str(path))
    assert "the authors' U-Net: 1 channels in, 8 base channels" in out
    assert f"fields: kind: pretrained layout: authors_unet path: {path}" in out


def test_a_store_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(monkeypatch, capsys, "--store", str(tmp_path / "none"))
    assert "No trained networks" in out
    assert not (tmp_path / "none").exists()
