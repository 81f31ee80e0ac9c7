-- One row per run and sample: energies, path, neighbours, semantics.
CREATE VIEW samples AS
SELECT
  * EXCLUDE (memorized_below),
  d1 / nullif(d2, 0)                                    AS gap_ratio,  -- d1/d2; NULL where both are 0
  CASE WHEN NOT isnan(d1)
    THEN d1 < memorized_below * d2 OR d2 = 0 END        AS memorized,  -- gap_ratio below the run's threshold; NULL: d1 is NaN
  coalesce(label, predicted, nearest_label)             AS class       -- asked for, else predicted, else nearest
FROM parquet_samples;
