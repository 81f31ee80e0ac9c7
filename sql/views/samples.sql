-- One row per run and sample: energies, path, neighbours, semantics.
CREATE VIEW samples AS
SELECT
  s.*,
  s.d1 / nullif(s.d2, 0)                                          AS gap_ratio,  -- d1/d2; NULL where both are 0
  (s.d1 < r.memorized_below * s.d2 OR s.d2 = 0)                   AS memorized,  -- gap_ratio below the run's threshold
  coalesce(s.label, s.predicted, s.nearest_label)                 AS class       -- asked for, else predicted, else nearest
FROM parquet_samples s
JOIN runs r USING (run);
