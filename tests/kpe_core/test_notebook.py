"""Notebook access: the accessor against NumPy, SQL in three forms, the tour's cells run on a tiny store."""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest

import kpe_core
from kpe_core.errors import UserError
from kpe_core.store.store import Store

TOUR = Path(__file__).parents[2] / "deployments" / "notebooks" / "tour.ipynb"


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, kpe_core; kpe_core.open, kpe_core.sql\n"
        "print([m for m in ('torch', 'xarray', 'pandas', 'numpy', 'duckdb', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_run_opens_by_label_and_by_the_beginning_of_its_id(tiny_store: Store) -> None:
    data = kpe_core.open("planar", tiny_store.url)
    assert data.sizes["sample"] == 240
    assert data.attrs["run_label"] == "planar"
    assert kpe_core.open(data.attrs["run"][:8], tiny_store.url).attrs["run"] == data.attrs["run"]
    with pytest.raises(UserError, match="no run 'nothing'"):
        kpe_core.open("nothing", tiny_store.url)


def test_energies_and_profile(tiny_store: Store) -> None:
    data = kpe_core.open("shaped kts(0, 0.02)", tiny_store.url)
    energies = data.paths.energies()
    asked = kpe_core.sql(
        "SELECT kpe FROM samples JOIN runs USING (run) WHERE run_label = 'shaped kts(0, 0.02)' ORDER BY sample",
        tiny_store.url,
    )
    assert energies.kpe.to_numpy() == pytest.approx(asked.df().kpe.to_numpy(), rel=1e-12)
    profile = data.paths.profile()
    assert 0.5 * (profile["mean"] * data.dt.to_numpy()).sum() == pytest.approx(energies.kpe.mean(), rel=1e-9)
    assert (profile.q10 <= profile["median"]).all()
    assert (profile["median"] <= profile.q90).all()


@pytest.mark.parametrize("label", ["planar", "shaped plain"])
def test_plots(tiny_store: Store, label: str, tmp_path: Path) -> None:
    data = kpe_core.open(label, tiny_store.url)
    for figure in (data.paths.plot_profile(), data.paths.plot_energies(), data.paths.plot_paths(5), data.paths.grid(4)):
        assert isinstance(figure, matplotlib.figure.Figure)
        figure.savefig(tmp_path / "a.png")


def test_sql_in_three_forms(tiny_store: Store) -> None:
    answer = kpe_core.sql("SELECT sample, kpe FROM samples ORDER BY ALL LIMIT 5", tiny_store.url)
    assert answer.arrow().num_rows == len(answer.df()) == answer.pl().height == 5
    assert np.array_equal(answer.df().kpe, answer.pl()["kpe"].to_numpy())
    assert "kpe" in answer._repr_html_()
    with pytest.raises(UserError, match="refused"):
        kpe_core.sql("DROP VIEW samples", tiny_store.url)


def test_the_tour_runs(tiny_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KPE_STORE", tiny_store.url)
    monkeypatch.setenv("KPE_RUN", "shaped plain")
    cells = json.loads(TOUR.read_text(encoding="utf-8"))["cells"]
    names: dict = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"], "the tour is shown as executed"
            exec("".join(cell["source"]), names)
