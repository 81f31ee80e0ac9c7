-- One row per run and expectation: what the quality gate saw.
CREATE VIEW checks AS
SELECT
  c.*,
  CASE WHEN NOT c.success AND c.severity = 'error' THEN r.accepted END AS accepted -- why the run is visible all the same
FROM parquet_checks c
JOIN runs r USING (run);
