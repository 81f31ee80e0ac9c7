"""A store from a notebook: runs as xarray datasets that know their energies and pictures, SQL as data frames."""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import xarray as xr
from matplotlib.figure import Figure

from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import UserError
from kpe_core.stages.manifest import registered
from kpe_core.stages.verify import find_run
from kpe_core.store.store import Store
from kpe_core.store.trajectories import PER_SAMPLE, Trajectories

if TYPE_CHECKING:
    import polars


class Answer:
    """What ``kpe_core.sql`` found."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def arrow(self) -> pa.Table:
        return self._table

    def df(self) -> pd.DataFrame:
        """As pandas."""
        return self._table.to_pandas()

    def pl(self) -> "polars.DataFrame":
        """As polars."""
        import polars

        return polars.DataFrame(self._table)

    def __repr__(self) -> str:
        return repr(self.df())

    def _repr_html_(self) -> str:
        return str(self.df().to_html(max_rows=20))


def ask(query: str, store: str) -> Answer:
    """The answer to one read-only statement, see ``kpe sql``."""
    with Catalog(Store.open(store)) as catalog:
        return Answer(catalog.ask(query))


def open_run(run: str, store: str) -> xr.Dataset:
    """The trajectories of a run, lazily, with the accessor ``paths``.

    Raises
    ------
    UserError
        when there is no such run, or its trajectories were never begun.
    """
    where = Store.open(store)
    specs = {i: where.read_json(f"runs/{i}/run.json") for i in where.list("runs") if where.exists(f"runs/{i}/run.json")}
    named = [i for i, spec in specs.items() if spec["label"] == run]
    run_id = named[0] if len(named) == 1 else find_run(where, run)
    manifest = f"runs/{run_id}/manifest.json"
    if where.exists(manifest):
        folder = where.read_json(manifest)["trajectories"]
    else:
        folder = Trajectories(where, registered(where, run_id).trajectories_id).folder
    if not where.exists(f"{folder}/plan.json"):
        raise UserError(f"run {run_id} has no trajectories yet; `kpe run` its study")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # consolidated metadata is not yet in the v3 specification
        data = xr.open_zarr(where.zarr(f"{folder}/data.zarr", read_only=True), chunks=None)
    return data.assign_attrs(run=run_id, run_label=specs[run_id]["label"])


@xr.register_dataset_accessor("paths")
class Paths:
    """``dataset.paths``: energies, the profile, plots and sample grids of one run."""

    def __init__(self, data: xr.Dataset) -> None:
        self._data = data

    def energies(self) -> pd.DataFrame:
        """One row a sample: kpe with its parts and errors, peak power, path (units: ``dataset[column].units``)."""
        frame = self._data[[name for name in PER_SAMPLE if name in self._data]].to_dataframe()
        return frame[[name for name in ("label", *PER_SAMPLE) if name in frame]]

    def profile(self) -> pd.DataFrame:
        """Power ‖ηv‖² over t: its mean, and the 10, 50 and 90 % quantiles over the samples [coordinate²/time²]."""
        power = self._data.power.to_numpy() * self._data.eta.to_numpy() ** 2
        low, median, high = np.quantile(power, [0.1, 0.5, 0.9], axis=0)
        return pd.DataFrame(
            {"mean": power.mean(axis=0), "q10": low, "median": median, "q90": high},
            index=pd.Index(self._data.t_step.to_numpy(), name="t"),
        )

    def plot_profile(self) -> Figure:
        """The profile, its band from the 10 to the 90 % quantile."""
        profile = self.profile()
        figure, ax = _axes()
        ax.fill_between(profile.index, profile.q10, profile.q90, alpha=0.25, lw=0, label="10 to 90 %")
        ax.plot(profile.index, profile["mean"], label="mean")
        ax.set(xlabel="t", ylabel="power ‖ηv‖²", title=self._data.attrs.get("run_label", ""))
        ax.legend(frameon=False)
        return figure

    def plot_energies(self) -> Figure:
        """How the energies are distributed."""
        figure, ax = _axes()
        ax.hist(self._data["kpe"].to_numpy(), bins="auto")
        ax.set(xlabel="kinetic path energy", ylabel="samples", title=self._data.attrs.get("run_label", ""))
        return figure

    def plot_paths(self, n: int = 50) -> Figure:
        """Paths of ``n`` samples spread over the energies, in their first two coordinates, coloured by energy.

        Raises
        ------
        UserError
            when the run keeps no states.
        """
        if "x" not in self._data:
            raise UserError("this run keeps no states: sample with `states: {keep: all}`")
        chosen = self._ranked()[
            np.linspace(0, self._data.sizes["sample"] - 1, min(n, self._data.sizes["sample"])).astype(int)
        ]
        figure, ax = _axes()
        energies = self._data["kpe"].to_numpy()[chosen]
        shades = (energies - energies.min()) / max(np.ptp(energies), 1e-12)
        import matplotlib

        colours = matplotlib.colormaps["viridis"](shades)
        for sample, colour in zip(chosen, colours, strict=True):
            path = self._data.x[int(sample)].to_numpy().reshape(self._data.sizes["state"], -1)[:, :2]
            ax.plot(path[:, 0], path[:, -1], color=colour, lw=0.8)
        ax.set(xlabel="coordinate 0", ylabel="coordinate 1", title=self._data.attrs.get("run_label", ""))
        return figure

    def grid(self, n: int = 16) -> Figure:
        """Endpoints of the ``n`` samples of lowest energy above those of highest; as points where they are no images."""
        ends = self._data.x1.to_numpy()
        ranked = self._ranked()
        low, high = ranked[:n], ranked[-n:]
        figure, ax = _axes()
        if ends.ndim == 2:
            for rows, name in ((low, "lowest energy"), (high, "highest energy")):
                ax.scatter(ends[rows, 0], ends[rows, -1], s=12, label=name)
            ax.legend(frameon=False)
            return figure
        ax.imshow(_mosaic(np.stack([ends[low], ends[high]])), cmap="gray")
        ax.set(
            xticks=[], yticks=[], title=f"lowest energy above, highest below: {self._data.attrs.get('run_label', '')}"
        )
        return figure

    def _ranked(self) -> np.ndarray:
        """Samples by energy."""
        return np.argsort(self._data["kpe"].to_numpy(), kind="stable")


def _axes() -> tuple[Figure, Any]:
    """A figure that belongs to no global state."""
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    ax = figure.add_subplot()
    ax.spines[["top", "right"]].set_visible(False)
    return figure, ax


def _mosaic(images: np.ndarray) -> np.ndarray:
    """(rows, columns, …) images side by side, each stretched over its own values; channels first become last."""
    if images.ndim == 5:
        images = np.moveaxis(images[:, :, :3] if images.shape[2] >= 3 else images[:, :, :1], 2, -1)
    else:
        images = images[..., None]
    low, high = images.min(axis=(2, 3), keepdims=True), images.max(axis=(2, 3), keepdims=True)
    shown = np.pad(
        (images - low) / np.maximum(high - low, 1e-12), ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)), constant_values=1
    )
    rows, columns, height, width, channels = shown.shape
    whole = shown.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channels)
    return whole[..., 0] if channels == 1 else whole
