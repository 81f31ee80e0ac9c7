-- One row per shaped run, its plain twin, metric and space: the paired difference with its interval.
CREATE VIEW comparisons AS SELECT * FROM parquet_comparisons;
