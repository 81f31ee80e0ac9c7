"""What `kpe models PATH` finds out, and that what it prints can be pasted."""

from pathlib import Path

import pytest
import torch
import yaml

from kpe_core.errors import UserError
from kpe_core.fields.pretrained.field import pretrained_field
from kpe_core.fields.pretrained.inspect import look_at
from kpe_core.fields.pretrained.layouts import weights_hash
from kpe_core.study.specs import PretrainedField
from tests.kpe_core.fields.pretrained.folders import dit, scheduler, unet, vae
from tests.kpe_core.fields.pretrained.test_programs import FUNCTION, export, script
from tests.kpe_core.fields.pretrained.written import authors_file, torchcfm_file


def pasted(path: Path, shape: tuple[int, ...], **more: object) -> None:
    """The printed YAML makes a field that can be asked."""
    document = yaml.safe_load(look_at(path).yaml(path))["fields"] | more
    spec = PretrainedField.model_validate(document)
    field = pretrained_field(spec, shape, weights_hash(spec))
    x = torch.zeros(2, int(torch.tensor(shape).prod()), dtype=torch.float64)
    label = torch.tensor([0, 1]) if spec.conditional else None
    assert torch.isfinite(field.evaluate(x, 0.5, label).velocity).all()


def test_each_layout_is_recognised_and_pasted(tmp_path: Path) -> None:
    authors, cfm = authors_file(tmp_path / "Model_250"), torchcfm_file(tmp_path / "cfm.pt", classes=4)
    assert look_at(authors).says[0] == "185 tensors, 72,193 numbers, float32"
    pasted(authors, (8, 8))
    assert look_at(cfm).choices["n_classes"] == 4
    pasted(cfm, (8, 8), head_channels=32)
    for write, layout in ((export, "exported"), (script, "torchscript")):
        assert look_at(write(tmp_path / layout)).layout == layout
        pasted(tmp_path / layout, (4, 4))
    (tmp_path / "mine.py").write_text(FUNCTION)
    pasted(tmp_path / "mine.py", (4, 4))


def test_a_pipeline_says_what_its_scheduler_stands_for(tmp_path: Path) -> None:
    dit(tmp_path / "transformer")
    vae(tmp_path / "vae")
    scheduler(tmp_path, "DDIMScheduler")
    found = look_at(tmp_path)
    assert found.choices == {"predicts": "noise", "n_classes": 10, "null_label": 10}
    assert f"a VAE to decode latents with: give the data  vae: {tmp_path / 'vae'}" in found.says
    pasted(tmp_path, (4, 8, 8))
    unet(tmp_path / "bare")
    pasted(tmp_path / "bare", (8, 8))


def test_what_it_does_not_know(tmp_path: Path) -> None:
    torch.save({"blocks.0.attn.qkv.weight": torch.zeros(6, 2)}, tmp_path / "sit.pt")
    found = look_at(tmp_path / "sit.pt")
    assert found.layout is None
    assert found.keys == ["blocks.0.attn.qkv.weight (6, 2)"]
    with pytest.raises(UserError, match=r"the model is missing; looked for .*/gone"):
        look_at(tmp_path / "gone")
