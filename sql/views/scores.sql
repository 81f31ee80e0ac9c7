-- One row per run, metric and space (NULL for metrics without one), with its interval.
CREATE VIEW scores AS SELECT * FROM parquet_scores;
