-- One row per run, sample and solver step: time, gain, power, cumulative energy.
CREATE VIEW steps AS SELECT * FROM parquet_steps;
