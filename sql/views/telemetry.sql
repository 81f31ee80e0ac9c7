-- One row per moment of a study's flow runs, every few seconds: one for the whole cluster, and one for each of its workers.
CREATE VIEW telemetry AS SELECT * FROM parquet_telemetry;
