"""CelebA: pictures in a folder, the publisher's parts, identities and attributes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kpe_core.data.datasets import source_of
from kpe_core.errors import UserError
from kpe_core.packages import declare_torchvision_operators
from kpe_core.study.specs import DataSpec
from tests.kpe_core.data import written
from tests.kpe_core.data.loading import RAW, loaded, rows

N = 12


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    written.write_celeba(tmp_path, N)
    return tmp_path


def decoded(root: Path, i: int) -> np.ndarray:
    """As PIL decodes it: (3, H, W) float32."""
    picture = np.asarray(Image.open(root / "img_align_celeba" / f"{i + 1:06d}.jpg"), dtype=np.float32)
    return picture.transpose(2, 0, 1)


def test_grey_at_32_is_what_the_memorization_papers_feed(celeba: Path) -> None:
    """[BO]'s loader: torchvision's ToTensor, Resize, CenterCrop, Grayscale on the train part."""
    declare_torchvision_operators()
    from torchvision import transforms

    theirs = transforms.Compose(
        [transforms.Resize(32, antialias=True), transforms.CenterCrop(32), transforms.Grayscale(1)]
    )
    data = loaded("celeba", celeba, prepare={"scaling": "unit"})
    assert (data.kind, data.shape, data.class_names) == ("image", (32, 32), ("face",))
    train = [i for i in range(N) if i % 4 != 3 and i % 6 != 5]
    expected = np.stack([theirs(torch.from_numpy(decoded(celeba, i) / 255)).numpy().ravel() for i in train])
    assert data.train.shape == expected.shape
    for row in data.train:
        assert np.abs(expected - row).max(axis=1).min() < 2e-5, "each is one of theirs"
    assert len(data.held_out) == sum(i % 4 == 3 for i in range(N)), "validation pictures are in neither part"


def test_colour_at_64_from_a_crop(celeba: Path) -> None:
    data = loaded("celeba", celeba, size=64, colour=True, crop=140, **RAW)
    assert (data.shape, data.channels) == ((3, 64, 64), 3)
    whole = loaded("celeba", celeba, size=140, colour=True, crop=140, **RAW)
    first = next(i for i in range(N) if np.array_equal(decoded(celeba, i)[:, 39:179, 19:159].ravel(), whole.train[0]))
    small = Image.fromarray(decoded(celeba, first).transpose(1, 2, 0).astype(np.uint8)).crop((19, 39, 159, 179))
    expected = np.asarray(small.resize((64, 64), Image.Resampling.BILINEAR), dtype=np.float32).transpose(2, 0, 1)
    assert np.abs(data.train[0].reshape(3, 64, 64) - expected).max() <= 1.0, "but for the bytes PIL rounds to"


def test_labels_are_identities_or_an_attribute(celeba: Path) -> None:
    identity = source_of(DataSpec(name="celeba", root=str(celeba), labels="identity"))
    assert identity.class_names == ("2880", "2881", "2882")
    assert identity.labels.tolist() == [i % 3 for i in range(N)]
    young = source_of(DataSpec(name="celeba", root=str(celeba), labels="Young"))
    assert young.class_names == ("not Young", "Young")
    assert young.labels.tolist() == [int(i % 3 != 0) for i in range(N)]


def test_published_folders_are_found_too(celeba: Path) -> None:
    before = loaded("celeba", celeba, labels="Smiling").fingerprint
    for folder, names in {
        "Img": ["img_align_celeba"],
        "Eval": ["list_eval_partition.txt"],
        "Anno": ["list_attr_celeba.txt"],
    }.items():
        (celeba / folder).mkdir()
        for name in names:
            (celeba / name).rename(celeba / folder / name)
    assert loaded("celeba", celeba, labels="Smiling").fingerprint == before


def test_a_random_split_takes_everything(celeba: Path) -> None:
    data = loaded("celeba", celeba, split="random", held_out=0.25, **RAW)
    assert (len(data.train), len(data.held_out)) == (9, 3)
    assert len(rows(data.train, data.held_out)) == N


def test_reference_limits_what_is_read_and_n_train_is_among_it(celeba: Path) -> None:
    data = loaded("celeba", celeba, reference=2, **RAW)
    assert (len(data.train), len(data.held_out), data.n_points) == (2, 2, 2)
    more = loaded("celeba", celeba, reference=2, n_train=5, **RAW)
    assert (len(more.train), len(more.held_out), more.n_points) == (5, 2, 5)
    assert np.array_equal(more.train[:2], data.train)
    (celeba / "img_align_celeba" / "000006.jpg").unlink()  # of the validation part
    loaded("celeba", celeba, reference=2, **RAW)


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("img_align_celeba", r"the folder img_align_celeba is missing; looked for .*mmlab.ie.cuhk.edu.hk"),
        ("list_eval_partition.txt", r"list_eval_partition.txt is missing; looked for .*Eval/list_eval_partition.txt"),
        ("identity_CelebA.txt", r"identity_CelebA.txt is missing"),
    ],
)
def test_missing_files_are_named(gone: str, message: str, celeba: Path) -> None:
    (celeba / gone).rename(celeba / "elsewhere")
    with pytest.raises(UserError, match=message):
        loaded("celeba", celeba, labels="identity")


def test_a_listed_picture_that_is_not_there_is_named(celeba: Path) -> None:
    (celeba / "img_align_celeba" / "000001.jpg").unlink()
    with pytest.raises(UserError, match=r"000001.jpg: no such file"):
        loaded("celeba", celeba)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b[: len(b) // 2], r"000001.jpg: cannot be decoded as a picture \(.*truncated"),
        (lambda b: b"", r"000001.jpg: cannot be decoded as a picture"),
        (lambda b: b"<html>not found</html>", r"000001.jpg: cannot be decoded as a picture"),
    ],
)
def test_damaged_pictures_are_named(damage: Any, message: str, celeba: Path) -> None:
    path = celeba / "img_align_celeba" / "000001.jpg"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=message):
        loaded("celeba", celeba)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it lists no pictures"),
        ("000001.jpg 3\n000002.jpg 0\n", r"a part is 3; parts are 0, 1 and 2"),
        ("000001.jpg zero\n", "a picture's name and a number on each line"),
        ("000001.jpg 0\n000002.jpg\n", "a picture's name and a number on each line"),
        ("000001.jpg 0\n000002.jpg 0\n", r"2 points to train on and 0 to test on; .*split: random"),
    ],
)
def test_malformed_partitions_are_named(text: str, message: str, celeba: Path) -> None:
    (celeba / "list_eval_partition.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        loaded("celeba", celeba)


def test_unknown_attributes_and_lists_that_differ_are_named(celeba: Path) -> None:
    with pytest.raises(UserError, match=r"data.labels = 'Smilling' is no attribute .* identity, Smiling, Young"):
        loaded("celeba", celeba, labels="Smilling")
    path = celeba / "list_attr_celeba.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match=rf"its {N - 1} pictures are not the {N}"):
        loaded("celeba", celeba, labels="Smiling")


def test_a_crop_larger_than_the_picture_is_refused(celeba: Path) -> None:
    with pytest.raises(UserError, match=r"data.crop = 200 is larger than a picture of 218×178"):
        loaded("celeba", celeba, crop=200)


def test_attribute_names_of_another_encoding_are_named(celeba: Path) -> None:
    (celeba / "list_attr_celeba.txt").write_bytes(b"12\nSourire \xc8ge\n")
    with pytest.raises(UserError, match=r"data.labels = 'Smiling' is no attribute"):
        loaded("celeba", celeba, labels="Smiling")
