-- One row per run and expectation: what the quality gate saw.
CREATE VIEW checks AS SELECT * FROM parquet_checks;
