-- One row per run, sample, space and estimator: log density of the endpoint.
CREATE VIEW densities AS SELECT * FROM parquet_densities;
