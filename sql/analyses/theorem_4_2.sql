-- title: Power against −log density on the exact field, as measured and as predicted
-- answers: Whether one posterior weight dominates, and how affine ‖v*‖² then is in −log p_t: slope, intercept and R² of the
--   regression over the samples beside what Theorem 4.2, worked out, says they are.
-- source: [KE] Theorem 4.2; METHOD §7
-- param study: the study
-- column run_label: the run's name in the study
-- column n: samples
-- column shaped: whether the paths are shaped, which the prediction knows nothing of
-- column t: the grid's time nearest to 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95 [time]
-- column share_50, share_90, share_99: share of samples whose largest posterior weight exceeds ½, 0.9, 0.99
-- column slope, slope_theory: measured and predicted [coordinate²/time²]
-- column intercept, intercept_theory: measured and predicted [coordinate²/time²]
-- column r2, r2_theory: share of power's variance explained, measured and predicted
WITH asked AS (
  SELECT unnest([0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95]::DOUBLE[]) AS near
),
chosen AS (  -- a coarse grid's step may be the nearest to several times; of two as near, the earlier
  SELECT DISTINCT run, arg_min(step, (round(abs(t - near), 9), step)) AS step
  FROM theory CROSS JOIN asked GROUP BY run, near
)
SELECT
  m.run_label, r.n_samples AS n,
  NOT r.plain                                           AS shaped,
  t, share_50, share_90, share_99,
  slope, slope_theory, intercept, intercept_theory, r2, r2_theory
FROM study_runs m
JOIN runs r USING (run)
JOIN chosen USING (run)
JOIN theory USING (run, step)
WHERE m.study = $study
ORDER BY m.position, t;
