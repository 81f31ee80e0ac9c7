"""The studies of the published experiments: each says everything that is missing, at once."""

from pathlib import Path

import pytest

from kpe_core.errors import UserError
from kpe_core.stages.plan import plan
from kpe_core.study.load import load_study

INCEPTION = "models/weights-inception-2015-12-05-6726825d.pth"
MISSING = {
    "cifar10": ["data/cifar10/cifar-10-python.tar.gz", "models/otcfm_cifar10_weights_step_400000.pt", INCEPTION],
    "celeba32": ["data/celeba/img_align_celeba", "models/celeba32/Model_100000", INCEPTION],
    "enfopath": ["data/cifar10/cifar-10-python.tar.gz", "models/clip-vit-b-32.pt", "models/dinov2-base"],
    "imagenet256": [
        "data/imagenet256-latents/*.safetensors", "models/DiT-XL-2-256", "models/DiT-XL-2-256/vae/config.json",
        "models/clip-vit-b-32.pt", INCEPTION, "models/dinov2-base",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", MISSING)
def test_a_plan_names_every_file_its_place_and_its_source(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KPE_DATA", raising=False)
    with pytest.raises(UserError) as refused:
        plan(load_study(name), 500)
    lines = str(refused.value).split("\n")
    assert len(lines) == len(MISSING[name])
    for path in MISSING[name]:
        (line,) = [
            line for line in lines if f"{tmp_path}/{path}" in line.replace(". ", " ").replace(" or ", " ").split()
        ]
        assert " is missing; looked for " in line
        assert " It comes from " in line or " It is " in line
