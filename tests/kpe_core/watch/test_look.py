"""A folder is looked at: what is new and whole is started once, what is not is left alone or named."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from kpe_core.errors import UserError
from kpe_core.store.store import Store
from kpe_core.study.specs import Study
from kpe_core.watch.folder import Watched
from kpe_core.watch.records import MOST_ATTEMPTS, Records
from kpe_core.watch.template import Template
from kpe_core.watch.tick import Look, copies_folder, look
from tests.kpe_core.fields.pretrained.written import authors_shapes, patterned

TEMPLATE = """
name: every
title: Every checkpoint
experiments:
  - name: digits
    data: {name: digits, n_train: 32}
    fields: {kind: pretrained, layout: authors_unet, path: put-in-by-the-watcher}
    sampling: {n_samples: 20, nfe: 4, batch: 20}
"""


def checkpoint(path: Path, factor: float = 1.0) -> Path:
    """A small model, written long ago."""
    tensors = patterned(authors_shapes(8, (1, 2), (False, True)))
    torch.save({key: value * factor for key, value in tensors.items()}, path)
    os.utime(path, (time.time() - 1000,) * 2)
    return path


class Scene:
    def __init__(self, root: Path) -> None:
        self.folder, self.file = root / "checkpoints", root / "every.yaml"
        self.folder.mkdir(parents=True)
        self.file.write_text(TEMPLATE)
        self.store = Store.create_or_open(str(root / "store"))
        self.calls: list[tuple[str, tuple[str, ...], str]] = []

    def look(self, **kwargs: Any) -> Look:
        def start(study: Study, overrides: tuple[str, ...], key: str) -> dict[str, Any]:
            self.calls.append((study.name, overrides, key))
            return {"state": "started"}

        template = Template(str(self.file))
        watched = Watched(str(self.folder), folders=template.folders)
        return look(watched, self.store, template, 60, **({"start": start} | kwargs))

    def records(self) -> list[dict[str, Any]]:
        return Records(self.store, "every", "").all()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_new_one_is_started_once_with_its_path_put_in(scene: Scene) -> None:
    original = checkpoint(scene.folder / "Model_250")
    assert list(scene.look().started) == ["Model_250"]
    name, overrides, key = scene.calls[0]
    assert name.startswith("every-")
    (record,) = scene.records()
    assert (record["state"], record["file"], record["sha256"]) == ("started", "Model_250", key.rpartition("-")[2])
    path = overrides[-1].partition("=")[2].strip('"')
    assert overrides[-1].startswith("experiments.0.fields.path=")
    assert Path(path).read_bytes() == original.read_bytes()
    again = scene.look()
    assert (again.started, again.known) == ({}, ["Model_250"])


def test_it_is_known_by_its_content(scene: Scene) -> None:
    checkpoint(scene.folder / "Model_250")
    scene.look()
    shutil.copy2(scene.folder / "Model_250", scene.folder / "renamed")
    assert sorted(scene.look().known) == ["Model_250", "renamed"]
    checkpoint(scene.folder / "Model_250", factor=1.01)
    assert list(scene.look().started) == ["Model_250"], "the same name, another content"
    assert len(scene.calls) == 2


def test_what_is_being_written_is_left_alone(scene: Scene) -> None:
    whole = checkpoint(scene.folder / "late").read_bytes()
    (scene.folder / "late").write_bytes(whole[:1000])
    (scene.folder / "next.tmp").write_bytes(whole)
    (scene.folder / ".rsync").write_bytes(whole)
    found = scene.look()
    assert (found.writing, found.started, found.refused) == (["late"], {}, {})
    assert scene.records() == []


def test_what_changes_while_it_is_read_is_left_alone(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint(scene.folder / "Model_250")
    monkeypatch.setattr(Watched, "still", lambda *_: False)
    assert scene.look().writing == ["Model_250"]
    assert list(copies_folder(scene.store, "every").iterdir()) == []


def test_half_a_file_that_looks_finished_is_refused_and_started_when_it_is_whole(scene: Scene) -> None:
    whole = checkpoint(scene.folder / "Model_250").read_bytes()
    (scene.folder / "Model_250").write_bytes(whole[: len(whole) // 2])
    os.utime(scene.folder / "Model_250", (0, 0))
    assert "cut short" in scene.look().refused["Model_250"]
    assert scene.look().known == ["Model_250"]
    checkpoint(scene.folder / "Model_250")
    assert list(scene.look().started) == ["Model_250"]


def test_a_broken_one_is_named_once_and_stops_no_other(scene: Scene) -> None:
    (scene.folder / "a-note.txt").write_text("not a model")
    os.utime(scene.folder / "a-note.txt", (0, 0))
    checkpoint(scene.folder / "nan", factor=float("nan"))
    checkpoint(scene.folder / "whole")
    found = scene.look()
    assert sorted(found.refused) == ["a-note.txt", "nan"]
    assert "NaN" in found.refused["nan"]
    assert list(found.started) == ["whole"]
    assert sorted(r["state"] for r in scene.records()) == ["refused", "refused", "started"]
    assert scene.look().refused == {}
    assert len(list(copies_folder(scene.store, "every").iterdir())) == 1, "refused ones are not kept"


def test_a_refusal_holds_for_the_template_that_refused(scene: Scene) -> None:
    checkpoint(scene.folder / "Model_250")
    scene.file.write_text(TEMPLATE.replace("path:", "n_classes: 10, path:"))
    assert scene.look().refused
    scene.file.write_text(TEMPLATE)
    assert list(scene.look().started) == ["Model_250"]


def test_killed_while_starting_it_is_started_again_with_the_same_key(scene: Scene) -> None:
    checkpoint(scene.folder / "Model_250")
    keys = []

    def killed(study: Study, overrides: tuple[str, ...], key: str) -> dict[str, Any]:
        keys.append(key)
        raise KeyboardInterrupt

    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(KeyboardInterrupt):
            scene.look(start=killed)
    assert len(set(keys)) == 1
    assert scene.records()[0]["state"] == "starting"
    assert "never came to an end" in scene.look().refused["Model_250"]


def test_the_template_s_own_mistakes_are_no_checkpoint_s(scene: Scene) -> None:
    checkpoint(scene.folder / "Model_250")
    scene.file.write_text(TEMPLATE.replace("name: digits, n_train", "name: cifar10, root: /nowhere, n_train"))
    with pytest.raises(UserError, match="/nowhere"):
        scene.look()
    assert scene.records() == []
    scene.file.write_text(
        TEMPLATE.replace("kind: pretrained, layout: authors_unet, path: put-in-by-the-watcher", "kind: exact")
    )
    with pytest.raises(UserError, match="no pretrained field"):
        scene.look()
    with pytest.raises(UserError, match="no folder"):
        Watched(str(scene.folder / "none")).candidates()


def test_a_field_of_several_and_one_place(tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(TEMPLATE.replace("fields: {kind", "fields:\n      - {kind: exact}\n      - {kind"))
    assert Template(str(file)).places == ["experiments.0.fields.1.path"]
    assert Template(str(file), into="experiments.digits.fields.1.path").places == ["experiments.digits.fields.1.path"]


def test_folders_as_diffusers_saves_them(tmp_path: Path) -> None:
    model = tmp_path / "in" / "step-100"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    watched = Watched(str(tmp_path / "in"), folders=True)
    (candidate,) = watched.candidates()
    assert candidate.age < 60
    copied = watched.copy(candidate, tmp_path / "copies")
    assert copied is not None
    assert (copied[1] / "config.json").read_text() == "{}"
    (model / "more.safetensors").write_bytes(b"1")
    assert not watched.still(candidate)


def test_a_prefix_of_an_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = pytest.importorskip("moto.server")
    endpoint = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    endpoint.start()
    try:
        host, port = endpoint.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "not-a-real-key")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        import boto3

        client = boto3.client("s3")
        client.create_bucket(Bucket="models")
        watched = Watched("s3://models/run-1")
        assert watched.candidates() == []
        client.upload_file(str(checkpoint(tmp_path / "Model_250")), "models", "run-1/Model_250")
        scene = Scene(tmp_path / "here")
        template = Template(str(scene.file))
        starts: list[str] = []

        def start(study: Study, overrides: tuple[str, ...], key: str) -> dict[str, Any]:
            starts.append(key)
            return {"state": "started"}

        assert look(watched, scene.store, template, 60, start).writing == ["Model_250"], "uploaded just now"
        assert list(look(watched, scene.store, template, 0, start).started) == ["Model_250"]
        assert look(watched, scene.store, template, 0, start).known == ["Model_250"]
        assert len(starts) == 1
    finally:
        endpoint.stop()
