"""EfficientNet-Lite0 with its real weights: what it sees in real photographs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage import data as photographs
from sklearn.datasets import load_sample_image

from kpe_core.data.datasets import Prepared
from kpe_core.errors import UserError
from kpe_core.features.efficientnet import MEAN, STD, efficientnet
from kpe_core.features.extractor import Extractor, extract
from kpe_core.features.images import images_of, normalised, resized
from kpe_core.features.registry import build, reads_data_classes
from kpe_core.study.specs import EfficientNetSpace

SPEC = EfficientNetSpace(extractor="efficientnet")
DAISY, EGYPTIAN_CAT, TABBY, ESPRESSO, PALACE, BELL_COTE = 985, 285, 281, 967, 698, 442


@pytest.fixture(scope="module")
def photos() -> torch.Tensor:
    """Four photographs that ship inside Python packages, middle squares, (4, 3, 224, 224) in [0, 1]."""

    def square(photo: np.ndarray) -> torch.Tensor:
        height, width = photo.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        middle = photo[top : top + side, left : left + side].astype(np.float32) / 255
        return resized(torch.from_numpy(middle).permute(2, 0, 1)[None], 224)

    found = [
        load_sample_image("flower.jpg"),
        photographs.chelsea(),
        photographs.coffee(),
        load_sample_image("china.jpg"),
    ]
    return torch.cat([square(photo) for photo in found])


def looks_at(photos: torch.Tensor) -> Extractor:
    """Points are numbers of photographs."""
    return efficientnet(SPEC, lambda x: photos[x[:, 0].long()])


def test_knows_what_is_in_photographs(photos: torch.Tensor) -> None:
    extractor = looks_at(photos)
    features = extract(extractor, torch.arange(4.0)[:, None])
    assert extractor.read_out is not None
    with torch.inference_mode():
        logits = extractor.read_out(features)
    assert features.shape == (4, 1280)
    assert logits.shape == (4, 1000)
    first = logits.topk(2, dim=1).indices.tolist()
    assert [DAISY in first[0], ESPRESSO in first[2]] == [True, True]
    assert logits[1].topk(3).indices.tolist() == [EGYPTIAN_CAT, 282, TABBY]
    assert set(first[3]) == {PALACE, BELL_COTE}


def test_features_do_not_depend_on_the_batch(photos: torch.Tensor) -> None:
    extractor = looks_at(photos)
    x = torch.arange(4.0)[:, None]
    one, three, four = (extract(extractor, x, batch) for batch in (1, 3, 4))
    assert torch.allclose(one, four, atol=1e-4, rtol=1e-4)
    assert torch.allclose(three, four, atol=1e-4, rtol=1e-4)


def test_pixels_come_back_from_prepared_coordinates(digits: Prepared) -> None:
    from sklearn.datasets import load_digits

    seen = images_of(digits)(torch.from_numpy(digits.train[:50]))
    assert seen.shape == (50, 3, 8, 8)
    raw = load_digits().images / 16
    gaps = np.abs(seen[:, :1].numpy() - raw[None]).reshape(50, len(raw), -1).max(axis=2)
    assert gaps.min(axis=1).max() < 1e-5, "each is one of the raw images"
    assert torch.equal(seen[:, 0], seen[:, 2])


def test_what_lies_beyond_the_range_is_cut(digits: Prepared) -> None:
    seen = images_of(digits)(torch.full((1, 64), 1e3))
    assert float(seen.max()) == 1.0


def test_shrinking_averages_and_growing_keeps_the_middle() -> None:
    stripes = torch.zeros(1, 3, 64, 64)
    stripes[..., ::2] = 1.0
    assert torch.allclose(resized(stripes, 8), torch.full((1, 3, 8, 8), 0.5), atol=0.02), "antialiased"
    assert resized(stripes, 64) is stripes
    grown = resized(torch.full((1, 3, 4, 4), 0.3), 224)
    assert grown.shape == (1, 3, 224, 224)
    assert torch.allclose(grown, torch.full_like(grown, 0.3), atol=1e-6)


def test_normalised_as_the_lite_models_were_trained() -> None:
    grey = torch.tensor([0.0, 127.0, 255.0]).view(1, 1, 1, 3).expand(1, 3, 1, 3) / 255
    assert normalised(grey, MEAN, STD)[0, 0, 0].tolist() == pytest.approx([-127 / 128, 0.0, 1.0], abs=1e-6)


def test_the_plane_holds_no_pictures(planar: Prepared) -> None:
    with pytest.raises(
        UserError,
        match=r"'dense_sparse' has points of shape \(2,\) that are no pictures; .* Use the extractors pixels or pca",
    ):
        build(SPEC, planar)


@pytest.mark.parametrize("side", [64, 112])
def test_a_smaller_side_is_another_and_faster_look(digits: Prepared, side: int) -> None:
    small = extract(build(SPEC.model_copy(update={"side": side}), digits), torch.from_numpy(digits.train[:3]))
    assert small.shape == (3, 1280)
    assert bool(torch.isfinite(small).all())


def test_imagenets_classes_are_those_of_its_folders_and_of_its_latents(digits: Prepared) -> None:
    names = tuple(map(str, range(1000)))
    for name, classes, expected in [
        ("imagenet", names, True), ("latents", names, True), ("latents", names[:10], False), ("array", names, False),
    ]:  # fmt: skip
        assert reads_data_classes(SPEC, replace(digits, name=name, class_names=classes)) is expected
