"""ImageNet-256 in miniature: latent shards, a diffusion transformer and its VAE as diffusers saves them, a small CLIP."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch.nn.functional import normalize

from kpe_core.catalog.catalog import Catalog
from kpe_core.data.datasets import load
from kpe_core.errors import UserError
from kpe_core.features.images import normalised, resized
from kpe_core.packages import need
from kpe_core.report import figures_samples
from kpe_core.report.material import study_runs
from kpe_core.report.pictures import pictures
from kpe_core.stages.features import extractor_of, features_id, real_features
from kpe_core.stages.plan import plan
from kpe_core.stages.requirements import require_all_possible
from kpe_core.stages.resolve import resolve
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories
from kpe_core.study.runs import Run, cells
from kpe_core.study.specs import Study
from tests.conftest import run_serially
from tests.kpe_core.data.written import write_latents
from tests.kpe_core.features.written import tiny_clip
from tests.kpe_core.fields.pretrained.folders import dit, scheduler, vae

N = 12
NAMES = ("tench", "goldfish", "great white shark")
FACTOR = 0.18215


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything the study names, in one folder."""
    root = tmp_path_factory.mktemp("imagenet")
    write_latents(root / "latents", sizes=(20, 16), side=8)
    (root / "latents" / "latents.json").write_text('{"scale_factor": 0.18215}')
    (root / "latents" / "classes.txt").write_text("\n".join(NAMES))
    dit(root / "dit" / "transformer")
    scheduler(root / "dit", "DDIMScheduler")
    vae(root / "dit" / "vae")
    tiny_clip(root)
    return root


def study(files: Path, data: dict[str, Any] | None = None) -> Study:
    experiment = {
        "name": "guided",
        "data": {
            "name": "latents", "root": str(files / "latents"), "vae": str(files / "dit" / "vae"),
            "prepare": {"scaling": "raw"},
        } | (data or {}),
        "fields": {
            "kind": "pretrained", "layout": "diffusers", "path": str(files / "dit"), "n_classes": 10, "null_label": 10,
        },
        "sampling": {"n_samples": N, "nfe": 4, "batch": 6, "guidance": [1.0, 4.0], "states": {"keep": "endpoints"}},
        "measure": {
            "spaces": [
                {"extractor": "clip", "model": "kpe-tiny", "weights": str(files / "weights.safetensors")},
                {"extractor": "efficientnet", "side": 32},
                {"extractor": "pca", "components": 4},
            ],
            "densities": [{"estimator": "knn"}, {"estimator": "knn", "space": "clip"}],
            "bootstrap": 100, "probe": 0,
        },
    }  # fmt: skip
    return Study.model_validate({"name": "imagenet", "experiments": [experiment]})


@pytest.fixture(scope="module")
def ran(files: Path) -> Iterator[tuple[Store, list[Run]]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KPE_CACHE", str(files / "cache"))
        store = Store.create_or_open(str(files / "store"))
        yield store, run_serially(study(files), store, shard_size=6)


def endpoints(store: Store, run: Run) -> np.ndarray:
    return np.asarray(Trajectories(store, run.trajectories_id).group()["x1"][:])  # type: ignore[index]


@torch.no_grad()
def decoded(files: Path, raw: np.ndarray) -> torch.Tensor:
    """As diffusers' own pipelines do it: over the scaling factor, decoded, from [−1, 1] to [0, 1]."""
    from diffusers import AutoencoderKL

    network = AutoencoderKL.from_pretrained(files / "dit" / "vae").eval()
    told = network.decode(torch.from_numpy(raw) / network.config.scaling_factor).sample
    return (told / 2 + 0.5).clamp(0, 1)


@torch.no_grad()
def clip_of(files: Path, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Image embeddings, and 100·cos with the prompts of NAMES, by open_clip alone."""
    open_clip = need("open_clip", "open_clip_torch")
    model = open_clip.create_model("kpe-tiny", load_weights=False, pretrained_text=False).eval()
    model.load_state_dict(safetensors.torch.load_file(files / "weights.safetensors"))
    seen = normalised(resized(images, 32), model.visual.image_mean, model.visual.image_std)
    embedded = normalize(model.encode_image(seen), dim=1)
    prompts = model.encode_text(open_clip.get_tokenizer("kpe-tiny")([f"a photo of a {name}" for name in NAMES]))
    return embedded, 100 * embedded @ normalize(prompts, dim=1).T


def test_guidance_doubles_the_evaluations(ran: tuple[Store, list[Run]]) -> None:
    store, (plain, guided) = ran
    assert (plain.guidance, guided.guidance) == (1.0, 4.0)
    with Catalog(store) as catalog:
        spent = {
            row["guidance"]: row["nfe_spent"]
            for row in catalog.query("SELECT guidance, nfe_spent FROM runs").to_pylist()
        }
    assert spent[4.0] == 2 * spent[1.0] > 0
    assert not np.allclose(endpoints(store, plain), endpoints(store, guided))


def test_samples_are_seen_decoded(files: Path, ran: tuple[Store, list[Run]]) -> None:
    """Features, scores and margins against diffusers and open_clip by themselves, on the stored endpoints."""
    store, runs = ran
    for run in runs:
        raw = endpoints(store, run)
        assert raw.shape == (N, 4, 8, 8)
        features, logits = clip_of(files, decoded(files, raw))
        with Catalog(store) as catalog:
            kept = catalog.query(
                "SELECT features, s.score, s.margin, label FROM features JOIN semantics s USING (run, sample, space) "
                "JOIN samples USING (run, sample) WHERE run = $run AND space = 'clip' ORDER BY sample",
                run=run.run_id,
            ).to_pylist()
        assert np.allclose([row["features"] for row in kept], features, atol=1e-4)
        label = np.array([row["label"] for row in kept])
        assert label.tolist() == [i % 3 for i in range(N)]
        rows = np.arange(N)
        scores = logits[rows, label].numpy()
        others = np.where(np.eye(3, dtype=bool)[label], -np.inf, logits.numpy()).max(axis=1)
        assert np.allclose([row["score"] for row in kept], scores, atol=1e-3)
        assert np.allclose([row["margin"] for row in kept], scores - others, atol=2e-3)


def test_real_latents_are_seen_decoded_and_measured_as_they_are(files: Path, ran: tuple[Store, list[Run]]) -> None:
    store, (run, _) = ran
    data = load(run.data)
    clip, efficientnet, pca = run.measure.spaces
    raw = np.asarray(data.train).reshape(-1, 4, 8, 8)
    assert np.allclose(real_features(store, run, clip), clip_of(files, decoded(files, raw))[0], atol=1e-4)
    assert real_features(store, run, efficientnet).shape == (len(raw), 1280)
    assert real_features(store, run, pca).shape == (len(raw), 4)
    x = endpoints(store, run).reshape(N, -1).astype(np.float64)
    gaps = np.linalg.norm(x[:, None] - data.points.astype(np.float64)[None], axis=2)
    with Catalog(store) as catalog:
        d1 = catalog.query("SELECT d1 FROM samples WHERE run = $run ORDER BY sample", run=run.run_id)["d1"].to_numpy()
    assert np.allclose(d1, gaps.min(axis=1), rtol=1e-6), "neighbours are those of latents"


def test_the_report_draws_pictures(files: Path, ran: tuple[Store, list[Run]]) -> None:
    store, (run, _) = ran
    raw = endpoints(store, run)[:4]
    shown = pictures(load(run.data), raw)
    assert np.allclose(shown[:, ::3, ::3], np.moveaxis(decoded(files, raw).numpy(), 1, -1), atol=1e-4)
    with Catalog(store) as catalog:
        drawn = figures_samples.energy_extremes(store, catalog, study_runs(catalog, "imagenet")[:1])
    (axes,) = drawn.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["tench", "goldfish", "great white…"]


def ids(store: Store, spec: Study) -> tuple[str, str, list[str]]:
    """Of the first run: its trajectories, itself, and its spaces' features."""
    run = resolve(store, next(iter(cells(spec))))
    assert run is not None
    return run.trajectories_id, run.run_id, [features_id(run, s, load(run.data)) for s in run.measure.spaces]


def test_the_decoders_weights_are_part_of_what_features_are(
    files: Path, ran: tuple[Store, list[Run]], tmp_path: Path
) -> None:
    store, (run, _) = ran
    before = ids(store, study(files))
    assert before[1] == run.run_id
    shutil.copytree(files / "dit" / "vae", tmp_path / "vae")
    moved = study(files, {"vae": str(tmp_path / "vae")})
    assert ids(store, moved) == before, "not where they lie"
    old = resolve(store, next(iter(cells(moved))))
    assert old is not None
    change(tmp_path / "vae", "post_quant_conv.bias", 1e-3)
    with pytest.raises(UserError, match=r"space clip: .*/vae has changed: the SHA-256 was .* start the study again"):
        extractor_of(store.url, old.data, old.measure.spaces[0], old.weights_of("clip"))
    after = ids(store, moved)
    assert after[0] == before[0], "no trajectory depends on them"
    assert after[1] != before[1]
    changed = [a != b for a, b in zip(after[2], before[2], strict=True)]
    assert changed == [True, True, False], "principal components are those of latents"


def test_names_are_part_of_what_scores_are(files: Path, ran: tuple[Store, list[Run]], tmp_path: Path) -> None:
    store, _ = ran
    before = ids(store, study(files))
    (tmp_path / "names.txt").write_text("carp\npike\neel\n")
    after = ids(store, study(files, {"class_names": str(tmp_path / "names.txt")}))
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1] != before[1]


# -- wrong ones, before anything runs ----------------------------------------------------------------------------------


def change(folder: Path, key: str, by: float) -> None:
    path = folder / "diffusion_pytorch_model.safetensors"
    tensors = safetensors.torch.load_file(path)
    tensors[key] += by
    safetensors.torch.save_file(tensors, path, {"format": "pt"})


def refused(spec: Study) -> list[str]:
    with pytest.raises(UserError) as error:
        require_all_possible(spec)
    return str(error.value).split("\n")


def test_all_there_is_planned(files: Path, ran: tuple[Store, list[Run]]) -> None:
    assert [cost.evaluations for cost in plan(study(files), 500).costs] == [N * 4, 2 * N * 4]


def test_no_vae(files: Path, tmp_path: Path) -> None:
    (line,) = refused(study(files, {"vae": None}))
    assert line.startswith("guided.measure.spaces clip: 'latents' has latents of shape (4, 8, 8)")
    assert "give data.vae" in line
    (line,) = refused(study(files, {"vae": str(tmp_path / "none")}))
    assert line.startswith(f"data.vae, the AutoencoderKL that decodes latents, is missing; looked for {tmp_path}/none/")


def test_corrupted_weights(files: Path, tmp_path: Path) -> None:
    shutil.copytree(files / "dit" / "vae", tmp_path / "vae")
    change(tmp_path / "vae", "decoder.conv_out.bias", np.nan)
    (line,) = refused(study(files, {"vae": str(tmp_path / "vae")}))
    assert line.endswith("vae hold NaN or infinity in decoder.conv_out.bias")
    path = tmp_path / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    (line,) = refused(study(files, {"vae": str(tmp_path / "vae")}))
    assert "vae cannot be loaded: " in line


def test_wrong_channels(files: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "0.npy", np.zeros((30, 16, 8, 8), np.float32) + np.arange(30)[:, None, None, None])
    (line,) = refused(study(files, {"root": str(tmp_path), "scale_factor": FACTOR}))
    assert "dit/vae decodes latents of 4 channels; 'latents' has 16 (16, 8, 8)" in line


def test_no_names(files: Path, tmp_path: Path) -> None:
    write_latents(tmp_path, sizes=(20,), side=8)
    (line,) = refused(study(files, {"root": str(tmp_path), "scale_factor": FACTOR}))
    assert "prompts want the classes' names, and 'latents' only numbers them (0, …); put classes.txt or " in line
