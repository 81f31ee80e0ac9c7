"""CLIP, InceptionV3 and DINOv2 from small files in their true formats, and from wrong ones."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch.nn.functional import normalize

from kpe_core.data.datasets import Prepared
from kpe_core.errors import UserError
from kpe_core.features.clip import clip
from kpe_core.features.dinov2 import dinov2
from kpe_core.features.extractor import extract
from kpe_core.features.images import images_of, normalised, resized
from kpe_core.features.inception import inception
from kpe_core.features.registry import weights_sha256
from kpe_core.features.semantics import semantics
from kpe_core.measure.frechet import frechet, moments
from kpe_core.packages import need
from kpe_core.study.specs import ClipSpace, DinoSpace, InceptionSpace
from tests.kpe_core.features.written import tiny_clip, tiny_dinov2

CLASSES = ("a zero", "a one", "a two")


@pytest.fixture(scope="module")
def clip_space(tmp_path_factory: pytest.TempPathFactory) -> ClipSpace:
    return tiny_clip(tmp_path_factory.mktemp("clip"))


def test_clip_scores_are_cosines_of_image_and_prompt(clip_space: ClipSpace, digits: Prepared) -> None:
    open_clip = need("open_clip", "open_clip_torch")
    images = images_of(digits)
    extractor = clip(clip_space, images, CLASSES)
    x = torch.from_numpy(digits.train[:7])
    features = extract(extractor, x)
    model = open_clip.create_model("kpe-tiny", load_weights=False, pretrained_text=False).eval()
    model.load_state_dict(safetensors.torch.load_file(clip_space.weights))
    with torch.inference_mode():
        seen = normalised(resized(images(x), 32), model.visual.image_mean, model.visual.image_std)
        image = normalize(model.encode_image(seen), dim=1)
        prompts = open_clip.get_tokenizer("kpe-tiny")([f"a photo of a {name}" for name in CLASSES])
        expected = 100 * image @ normalize(model.encode_text(prompts), dim=1).T
    assert extractor.read_out is not None
    logits = extractor.read_out(features)
    assert torch.allclose(features, image, atol=1e-6)
    assert torch.allclose(logits, expected.double(), atol=1e-4)
    here = semantics(logits, np.array([0, 1, 2, 0, 1, 2, 0]))
    assert here.score[1] == pytest.approx(float(logits[1, 1]))
    assert here.margin[1] == pytest.approx(float(logits[1, 1] - torch.maximum(logits[1, 0], logits[1, 2])))
    assert torch.allclose(extract(extractor, x, batch=2), features, atol=1e-5)


def test_another_prompt_reads_otherwise_and_sees_the_same(clip_space: ClipSpace, digits: Prepared) -> None:
    x = torch.from_numpy(digits.train[:3])
    one = clip(clip_space, images_of(digits), CLASSES)
    other = clip(clip_space.model_copy(update={"prompt": "{class}!"}), images_of(digits), CLASSES)
    assert torch.equal(extract(one, x), extract(other, x))
    assert one.read_out is not None
    assert other.read_out is not None
    assert not torch.allclose(one.read_out(extract(one, x)), other.read_out(extract(other, x)))


def test_clip_refuses_other_weights_and_names_what_is_missing(
    clip_space: ClipSpace, digits: Prepared, tmp_path: Path
) -> None:
    images = images_of(digits)
    with pytest.raises(
        UserError, match=r"space clip, weights of CLIP kpe-tiny is missing; looked for .*/nothing\. It is a file of"
    ):
        clip(clip_space.model_copy(update={"weights": str(tmp_path / "nothing")}), images, CLASSES)
    with pytest.raises(UserError, match="open_clip knows no model 'ViT-Z'; it knows"):
        clip(clip_space.model_copy(update={"model": "ViT-Z"}), images, CLASSES)
    tensors = safetensors.torch.load_file(clip_space.weights)
    tensors.pop("text_projection")
    safetensors.torch.save_file(tensors, tmp_path / "less.safetensors")
    with pytest.raises(UserError, match=r"less.safetensors does not fit open_clip's kpe-tiny: .*text_projection"):
        clip(clip_space.model_copy(update={"weights": str(tmp_path / "less.safetensors")}), images, CLASSES)


def test_inception_is_torch_fidelitys(digits: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = need("torch_fidelity.feature_extractor_inceptionv3", "torch-fidelity")
    fid = need("torch_fidelity.metric_fid", "torch-fidelity")
    network_class = module.FeatureExtractorInceptionV3
    torch.manual_seed(0)
    with monkeypatch.context() as m:  # random weights in the true layout
        m.setattr(module, "load_state_dict_from_url", lambda *a, **k: {})
        m.setattr(network_class, "load_state_dict", lambda self, state: None)
        network = network_class("theirs", ["2048"])
    torch.save(network.state_dict(), tmp_path / "inception.pth")
    spec = InceptionSpace(extractor="inception", weights=str(tmp_path / "inception.pth"))
    images = images_of(digits)
    extractor = inception(spec, images)
    x = torch.from_numpy(digits.train[:6])
    features = extract(extractor, x)
    levels = (images(x) * 255).round().to(torch.uint8)
    with torch.inference_mode():
        assert torch.equal(features, network(levels)[0])
    assert features.shape == (6, 2048)
    assert torch.allclose(extract(extractor, x, batch=4), features, atol=1e-4, rtol=1e-4)
    few, rest = features[:, :40].double(), torch.rand(50, 40, dtype=torch.float64)
    theirs = fid.fid_statistics_to_metric(
        fid.fid_features_to_statistics(few), fid.fid_features_to_statistics(rest), False
    )
    ours = frechet(moments(few.numpy()), moments(rest.numpy()))
    assert ours == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)
    less = {k: v for k, v in network.state_dict().items() if not k.startswith("fc.")}
    torch.save(less, tmp_path / "inception.pth")
    with pytest.raises(UserError, match=r"is not torch-fidelity's InceptionV3: .*fc.weight"):
        inception(spec, images)


def test_dinov2_from_a_folder(digits: Prepared, tmp_path: Path) -> None:
    model = tiny_dinov2(tmp_path)
    spec = DinoSpace(extractor="dinov2", folder=str(tmp_path), side=28)
    extractor = dinov2(spec, images_of(digits))
    x = torch.from_numpy(digits.train[:5])
    features = extract(extractor, x)
    seen = normalised(resized(images_of(digits)(x), 28), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.inference_mode():
        assert torch.allclose(features, model(pixel_values=seen).pooler_output, atol=1e-6)
    assert extractor.dim == 16
    before = weights_sha256(spec)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}')
    assert weights_sha256(spec) != before, "how pictures are prepared is part of what it is"
    assert not torch.allclose(extract(dinov2(spec, images_of(digits)), x), features)
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    tensors.pop("layernorm.weight")
    safetensors.torch.save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"not the model that config.json describes: missing keys: layernorm.weight"):
        dinov2(spec, images_of(digits))
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(UserError, match="describes a vit model, not dinov2"):
        dinov2(spec, images_of(digits))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"weights of DINOv2 is missing; looked for .*model.safetensors"):
        dinov2(spec, images_of(digits))
