"""Names of classes from every file that may hold them, and from files that do not."""

import json
from pathlib import Path

import numpy as np
import pytest

from kpe_core.data.datasets import load
from kpe_core.errors import UserError
from kpe_core.study.specs import DataSpec
from tests.kpe_core.data import written
from tests.kpe_core.data.loading import loaded

NAMES = ("tench", "goldfish", "great white shark")
SYNSETS = ("n01440764", "n01443537", "n01484850")
LINES = [f"{s} {n}, a fish" for s, n in zip(SYNSETS, NAMES, strict=True)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "\n".join(NAMES) + "\n"),
        ("LOC_synset_mapping.txt", "\n".join(reversed(LINES)) + "\n"),
        ("classes.json", json.dumps(NAMES)),
        ("classes.json", json.dumps({str(i): [s, n] for i, (s, n) in enumerate(zip(SYNSETS, NAMES, strict=True))})),
        ("classes.json", json.dumps({"_class_name": "DiTPipeline", "id2label": dict(enumerate(NAMES))})),
    ],
)
def test_latents_are_named_by_what_lies_beside_them(tmp_path: Path, name: str, text: str) -> None:
    written.write_latents(tmp_path / "latents")
    (tmp_path / "latents" / name).write_text(text)
    assert loaded("latents", tmp_path / "latents", scale_factor=1.0).class_names == NAMES
    (tmp_path / "latents" / name).rename(tmp_path / f"model_index{Path(name).suffix}")
    given = str(tmp_path / f"model_index{Path(name).suffix}")
    assert loaded("latents", tmp_path / "latents", scale_factor=1.0, class_names=given).class_names == NAMES


def test_other_names_are_read_again_and_are_the_same_data(tmp_path: Path) -> None:
    written.write_latents(tmp_path)
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    before = loaded("latents", tmp_path, scale_factor=1.0)
    (tmp_path / "classes.txt").write_text("\n".join(["carp", *NAMES[1:]]))
    after = loaded("latents", tmp_path, scale_factor=1.0)
    assert after.class_names[0] == "carp"
    assert after.fingerprint == before.fingerprint


def test_class_folders_by_synset_or_in_order(tmp_path: Path) -> None:
    written.write_imagenet(tmp_path)
    listed = tmp_path / "LOC_synset_mapping.txt"
    assert loaded("imagenet", tmp_path, size=32).class_names == NAMES[:2]
    listed.unlink()
    assert loaded("imagenet", tmp_path, size=32).class_names == SYNSETS[:2]
    (tmp_path / "classes.txt").write_text("a fish\nanother\n")
    assert loaded("imagenet", tmp_path, size=32).class_names == ("a fish", "another")
    (tmp_path / "classes.txt").write_text("a fish\nanother\na third\n")
    with pytest.raises(
        UserError, match=r"classes.txt: 3 names without synsets, and 2 class folders; name each in order"
    ):
        loaded("imagenet", tmp_path, size=32)
    listed.write_text(LINES[0])
    with pytest.raises(UserError, match=r"classes.txt and .*LOC_synset_mapping.txt both name classes; remove one"):
        loaded("imagenet", tmp_path, size=32)
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(UserError, match=r"LOC_synset_mapping.txt: names no class n01443537; add it"):
        loaded("imagenet", tmp_path, size=32)


def test_the_thousand_names_that_clips_authors_use(tmp_path: Path) -> None:
    """Against torchvision's own list of the same classes."""
    import open_clip
    from torchvision.models._meta import _IMAGENET_CATEGORIES as theirs

    written.write_latents(tmp_path)
    names = loaded("latents", tmp_path, scale_factor=1.0, class_names="imagenet").class_names
    assert names == tuple(open_clip.IMAGENET_CLASSNAMES)
    assert np.mean([a.lower() == b.lower() for a, b in zip(names, theirs, strict=True)]) > 0.5, "the same order"
    written.write_imagenet(tmp_path / "folders")
    with pytest.raises(UserError, match=r"imagenet has 1000 names, and data set 'imagenet' 2 classes; name a file"):
        loaded("imagenet", tmp_path / "folders", class_names="imagenet", size=32)


def test_arrays_have_names_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((9, 2)) + np.arange(9)[:, None], y=np.arange(9) % 3)
    assert load(DataSpec(name="array", root=str(tmp_path / "a.npz"))).class_names == ("0", "1", "2")
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    spec = DataSpec(name="array", root=str(tmp_path / "a.npz"), class_names=str(tmp_path / "names.txt"))
    assert load(spec).class_names == NAMES


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("classes.txt", "tench\ngoldfish\n", r"classes.txt: names 2 classes, and none is numbered 2; add it"),
        ("classes.txt", "tench\n\nshark\n", r"classes.txt: class 1 has an empty name; mend it"),
        ("classes.txt", "", r"classes.txt: it names no class; mend it"),
        ("classes.json", "{", r"classes.json: cannot be read as class names \(.*\); mend it"),
        ("classes.json", '{"0": 7}', r"classes.json: cannot be read as class names \('0': '7' is no name"),
        ("classes.json", '{"_class_name": "DiT"}', r"'_class_name': 'DiT' is no name of a numbered class"),
        ("classes.json", "3", r"classes.json: it names no class"),
    ],
)
def test_wrong_files(tmp_path: Path, name: str, text: str, message: str) -> None:
    written.write_latents(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        loaded("latents", tmp_path, scale_factor=1.0)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    written.write_latents(tmp_path)
    with pytest.raises(UserError, match=r"file of class names \(data.class_names\) is missing; looked for .*/none.txt"):
        loaded("latents", tmp_path, scale_factor=1.0, class_names=str(tmp_path / "none.txt"))
