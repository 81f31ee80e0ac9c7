"""Colour images and latents all the way: from an array through store, tables and report."""

import io
import warnings

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from kpe_core.catalog.catalog import Catalog
from kpe_core.data.datasets import load
from kpe_core.report.figures import figures
from kpe_core.store.store import Store
from kpe_core.study.load import load_study
from kpe_core.study.runs import Run
from kpe_core.study.specs import Study
from tests.conftest import run_serially

STUDY = """
name: colourful
experiments:
  - name: colour
    data: {{name: array, root: {root}/colour.npz, prepare: {{scaling: symmetric}}}}
    fields: {{kind: exact, conditional: true}}
    sampling: {{n_samples: 30, nfe: 8, batch: 10, classes: data}}
    measure: {{spaces: [{{extractor: classifier, epochs: 1, features: 4}}], bootstrap: 100, probe: 0}}
  - name: latent
    data: {{name: array, root: {root}/latent.npy, prepare: {{scaling: centered}}}}
    fields: {{kind: exact}}
    sampling: {{n_samples: 20, nfe: 8, batch: 10}}
    measure: {{bootstrap: 100, probe: 0}}
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Store, list[Run]]:
    root = tmp_path_factory.mktemp("colour")
    rng = np.random.default_rng(0)
    y = (np.arange(40) % 4 == 0).astype(np.int64)  # one red in four, the others blue
    x = rng.integers(0, 60, size=(40, 3, 8, 8), dtype=np.uint8)
    x[np.arange(40), np.where(y == 1, 0, 2)] += 180
    np.savez(root / "colour.npz", x=x, y=y)
    np.save(root / "latent.npy", rng.normal(size=(40, 4, 6, 6)).astype(np.float32))
    (root / "study.yaml").write_text(STUDY.format(root=root))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KPE_CACHE", str(root / "cache"))
        study = load_study(str(root / "study.yaml"))
        store = Store.create_or_open(str(root / "store"))
        return study, store, run_serially(study, store)


def test_trajectories_know_their_channels(ran: tuple[Study, Store, list[Run]]) -> None:
    _, store, runs = ran
    for run, shape in zip(runs, [(3, 8, 8), (4, 6, 6)], strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = xr.open_zarr(store.path(f"trajectories/{run.trajectories_id}/data.zarr"))
        assert data.x.dims == ("sample", "state", "channel", "row", "column")
        assert data.x.shape[2:] == data.x1.shape[1:] == shape
        points = load(run.data).points
        gaps = np.abs(data.x1.values.reshape(len(data.x1), 1, -1) - points).max(axis=2)
        assert gaps.min(axis=1).max() < 1e-4, "the exact field ends on training points, coordinate by coordinate"


def test_samples_are_asked_for_in_the_datas_proportions(ran: tuple[Study, Store, list[Run]]) -> None:
    _, store, runs = ran
    points = load(runs[0].data)
    with Catalog(store) as catalog:
        found = catalog.query(
            "SELECT label, nearest_label FROM samples WHERE run = $run", run=runs[0].run_id
        ).to_pandas()
        classes = catalog.query("SELECT run_label, classes FROM runs ORDER BY run_label").to_pylist()
    assert abs(found["label"].mean() - points.point_labels.mean()) < 0.1
    assert (found["label"] == found["nearest_label"]).all()
    assert [row["classes"] for row in classes] == ["data", "even"]


def test_colour_is_shown_as_colour_and_latents_in_false_colour(ran: tuple[Study, Store, list[Run]]) -> None:
    study, store, _ = ran
    with Catalog(store) as catalog:
        drawn = {figure.name: figure.png for figure in figures(store, catalog, study)}
    for name in ("energy-extremes", "copies"):
        rgb = np.asarray(Image.open(io.BytesIO(drawn[name])).convert("RGB"), dtype=int)
        red = ((rgb[..., 0] > 150) & (rgb[..., 1] < 90) & (rgb[..., 2] < 90)).sum()
        blue = ((rgb[..., 2] > 150) & (rgb[..., 1] < 90) & (rgb[..., 0] < 90)).sum()
        assert red > 500, name
        assert blue > 500, name
