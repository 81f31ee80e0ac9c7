-- One row per run, sample and feature space that reads classes: score, margin and predicted class of the endpoint.
CREATE VIEW semantics AS SELECT * FROM parquet_semantics;
