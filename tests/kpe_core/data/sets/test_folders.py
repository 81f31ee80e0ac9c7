"""ImageNet as class folders, and any folder of pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kpe_core.data.datasets import source_of
from kpe_core.data.pictures import halved_then_bicubic
from kpe_core.errors import UserError
from kpe_core.study.specs import DataSpec
from tests.fuzz.harness import limited_memory
from tests.kpe_core.data import written
from tests.kpe_core.data.loading import RAW, loaded


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    written.write_imagenet(tmp_path)
    return tmp_path


def test_imagenet_classes_parts_and_names(imagenet: Path) -> None:
    source = source_of(DataSpec(name="imagenet", root=str(imagenet)))
    assert (source.kind, source.shape, source.class_names) == ("image", (3, 256, 256), ("tench", "goldfish"))
    assert source.part is not None
    assert (source.part.tolist(), source.labels.tolist()) == ([0] * 6 + [1] * 4, [0, 0, 0, 1, 1, 1, 0, 0, 1, 1])
    assert source.file_of is not None
    assert source.file_of(4) == imagenet / "train" / "n01443537" / "n01443537_1.JPEG"
    (imagenet / "LOC_synset_mapping.txt").unlink()
    assert source_of(DataSpec(name="imagenet", root=str(imagenet))).class_names == ("n01440764", "n01443537")


def test_imagenet_pixels_are_those_of_the_guided_diffusion_crop(imagenet: Path) -> None:
    """Halving by box while twice too large, bicubic, central square: the published recipe on PIL's bytes."""
    size = 96
    data = loaded("imagenet", imagenet, size=size, **RAW)
    found = data.train.reshape(-1, 3, size, size)
    for path in sorted((imagenet / "train").rglob("*.JPEG")):
        image = Image.open(path)
        while min(*image.size) >= 2 * size:
            image = image.resize((image.size[0] // 2, image.size[1] // 2), resample=Image.Resampling.BOX)
        scale = size / min(*image.size)
        image = image.resize((round(image.size[0] * scale), round(image.size[1] * scale)), Image.Resampling.BICUBIC)
        array = np.asarray(image, dtype=np.float32)
        top, left = (array.shape[0] - size) // 2, (array.shape[1] - size) // 2
        theirs = array[top : top + size, left : left + size].transpose(2, 0, 1)
        assert np.abs(found - theirs).max(axis=(1, 2, 3)).min() < 2.0, "but for the bytes rounded to at each step"


@pytest.mark.parametrize("shape", [(256, 256), (3, 100, 300), (3, 300, 100), (97, 96)])
def test_squares_are_of_the_size_asked_for(shape: tuple[int, ...]) -> None:
    assert halved_then_bicubic(np.zeros(shape, dtype=np.float32), 64).shape == (*shape[:-2], 64, 64)


def test_imagenet_mistakes_are_named(imagenet: Path) -> None:
    (imagenet / "val" / "n99999999").mkdir()
    with pytest.raises(UserError, match=r"val: class n99999999 is not among those of train"):
        loaded("imagenet", imagenet)
    (imagenet / "train" / "n99999999").mkdir()
    with pytest.raises(UserError, match=r"train/n99999999 is an empty class"):
        loaded("imagenet", imagenet)
    (imagenet / "val").rename(imagenet / "test")
    with pytest.raises(UserError, match=r"the folder val is missing; looked for .*image-net.org"):
        loaded("imagenet", imagenet)
    (imagenet / "train" / "n99999999").rmdir()
    assert len(loaded("imagenet", imagenet, split="random", size=32).train) == 5, "which can do without val"


def test_subfolders_are_classes(tmp_path: Path) -> None:
    for c, name in enumerate(("cats", "dogs", ".hidden")):
        for i in range(3):
            written.jpeg(tmp_path / name / f"{i}.jpg", written.smooth(10 * c + i, 20, 20))
    (tmp_path / "cats" / "notes.txt").write_text("no picture")
    data = loaded("image_folder", tmp_path, held_out=0.34)
    assert (data.shape, data.class_names) == ((3, 20, 20), ("cats", "dogs"))
    assert sorted([*data.train_labels, *data.held_out_labels]) == [0, 0, 0, 1, 1, 1]


def test_grey_pictures_stay_grey_and_pixels_what_they_are(tmp_path: Path) -> None:
    arrays = [np.random.default_rng(i).integers(0, 256, size=(9, 12), dtype=np.uint8) for i in range(4)]
    for i, array in enumerate(arrays):
        Image.fromarray(array).save(tmp_path / f"{i}.png")
    data = loaded("image_folder", tmp_path, held_out=0.25, **RAW)
    assert (data.shape, data.class_names, data.is_image) == ((9, 12), ("all",), True)
    found = np.concatenate([data.train, data.held_out])
    assert sorted(map(bytes, found.astype(np.uint8))) == sorted(a.tobytes() for a in arrays)


def test_folder_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the folder of pictures is missing; looked for .*nowhere"):
        loaded("image_folder", tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds no pictures; put some there"):
        loaded("image_folder", tmp_path)
    for i, side in enumerate((20, 20, 24)):
        written.jpeg(tmp_path / f"{i}.jpg", written.smooth(i, side, side))
    with pytest.raises(UserError, match=r"has shape \(3, 24, 24\) .*set data.size to make all alike"):
        loaded("image_folder", tmp_path, held_out=0.3)
    assert loaded("image_folder", tmp_path, held_out=0.3, size=16).shape == (3, 16, 16)
    written.jpeg(tmp_path / "cats" / "0.jpg", written.smooth(0, 20, 20))
    with pytest.raises(UserError, match=r"holds both pictures \(0.jpg …\) and class folders \(cats …\)"):
        loaded("image_folder", tmp_path)


def test_a_picture_whose_head_is_cut_is_named(tmp_path: Path) -> None:
    """Found by fuzzing: of Pillow's errors, some are no OSError."""
    (tmp_path / "cats").mkdir()
    cut = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x00IHDR\x00\x00\x00\x14\x00\x00\x00\x18\x08\x02\x00\x00"
    (tmp_path / "cats" / "0.png").write_bytes(cut)
    with pytest.raises(UserError, match=r"0.png: cannot be decoded as a picture \(Truncated IHDR chunk\)"):
        loaded("image_folder", tmp_path, **RAW)


def test_a_cut_picture_that_says_it_holds_gigabytes_is_named(tmp_path: Path) -> None:
    """Found by fuzzing: Pillow asks for as many bytes as a chunk says."""
    (tmp_path / "cats").mkdir()
    Image.fromarray(np.zeros((24, 20, 3), dtype=np.uint8)).save(tmp_path / "cats" / "0.png")
    whole = (tmp_path / "cats" / "0.png").read_bytes()
    at = whole.index(b"IDAT")
    (tmp_path / "cats" / "0.png").write_bytes(whole[: at - 4] + b"\xff\xff\xff\xf0" + whole[at : at + 12])
    with pytest.raises(UserError, match=r"0.png: cannot be decoded as a picture"), limited_memory():
        loaded("image_folder", tmp_path, **RAW)


def test_sixteen_bit_pictures_are_refused_not_clipped(tmp_path: Path) -> None:
    for i in range(3):
        Image.fromarray(np.full((8, 8), 60_000, dtype=np.uint16)).save(tmp_path / f"{i}.png")
    with pytest.raises(UserError, match=r"a picture of mode I;16, not of 8 bits"):
        loaded("image_folder", tmp_path, held_out=0.34)
