-- One row per run and sample: the classifier's features of the endpoint.
CREATE VIEW features AS SELECT * FROM parquet_features;
