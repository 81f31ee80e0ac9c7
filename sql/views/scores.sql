-- One row per run and metric, with its bootstrap interval.
CREATE VIEW scores AS SELECT * FROM parquet_scores;
