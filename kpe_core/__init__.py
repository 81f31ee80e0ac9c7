"""kpe_core — kinetic path energy of flow-matching trajectories.

The data's way through the library::

    study   a YAML file becomes frozen specs, specs become runs
    data    real images and 2-D sets, split and prepared
    fields  the velocity v(x, t, y): exact (EFM) or a trained network
    sampling   noise, grid, shaping, solver, energy
    store   trajectories in Zarr, tables in Parquet, weights by hash
    measure    neighbours, densities, semantics, fidelity, memorization
    catalog    SQL over every finalised run
    report     findings, figures, one HTML file

Importing this package imports nothing heavy.
"""
