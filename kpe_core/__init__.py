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

Importing this package imports nothing heavy.
"""
