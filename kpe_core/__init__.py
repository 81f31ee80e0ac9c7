"""kpe_core — kinetic path energy of flow-matching trajectories.

The data's way through the library::

    study   a YAML file becomes frozen specs, specs become runs
    data    real images and 2-D sets, split and prepared
    points  the training points: their Gaussian sums and nearest neighbours, streamed
    fields  the velocity v(x, t, y) on a bridge: exact (EFM) or a trained network, guided or not
    sampling   noise, grid, shaping, solvers, energy
    store   trajectories in Zarr, tables in Parquet, weights by hash
    measure    densities, semantics, fidelity, statistics, theory
    catalog    SQL over every finalised run
    report     findings, figures, one HTML file

Importing this package imports nothing heavy. In a notebook::

    data = kpe_core.open("planar")  # an xarray dataset; data.paths.energies(), .profile(), .grid(), .plot_paths() …
    kpe_core.sql("SELECT run, avg(kpe) FROM samples GROUP BY run").df()
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray

    from kpe_core.notebook import Answer


def open(run: str, store: str = "store") -> "xarray.Dataset":
    """The trajectories of a run, by its id, the beginning of it, or its label; see ``notebook.open_run``."""
    from kpe_core.notebook import open_run

    return open_run(run, store)


def sql(query: str, store: str = "store") -> "Answer":
    """What one read-only statement finds: ``.arrow()``, ``.df()`` or ``.pl()``; see ``notebook.ask``."""
    from kpe_core.notebook import ask

    return ask(query, store)
