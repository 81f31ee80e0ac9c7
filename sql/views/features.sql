-- One row per run, sample and feature space: features of the endpoint.
CREATE VIEW features AS SELECT * FROM parquet_features;
