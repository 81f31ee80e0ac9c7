-- title: What changes from low to high energy
-- answers: Semantic score, margin, density and memorization by quantile of kinetic path energy, within each run.
-- source: [KE] figure 2; METHOD §5
-- param study: the study
-- param quantiles: 5, how many quantiles
-- columns: quantile 1 is the lowest energy; score, margin in logits; log_density (k-NN, data space) in nats;
--          f_mem with Wilson's interval
WITH chosen AS (
  SELECT m.position, m.run_label, s.*, ntile($quantiles) OVER (PARTITION BY s.run ORDER BY s.kpe, s.sample) AS q
  FROM samples s JOIN study_runs m USING (run)
  WHERE m.study = $study
),
knn AS (  -- of several, the smallest k, nothing left out
  SELECT run, sample, arg_min(log_density, (parameter, estimator)) AS log_density
  FROM densities WHERE space = 'data' AND estimator LIKE 'knn%' GROUP BY run, sample
)
SELECT
  run_label                                             AS run_label,
  q                                                     AS quantile,
  count(*)                                              AS n,
  avg(kpe)                                              AS kpe,
  avg(score)                                            AS score,
  avg(margin)                                           AS margin,
  avg(log_density)                                      AS log_density,
  avg(norm)                                             AS norm,
  avg(memorized::INT)                                   AS f_mem,
  wilson_low(avg(memorized::INT), count(*))             AS f_mem_low,
  wilson_high(avg(memorized::INT), count(*))            AS f_mem_high
FROM chosen LEFT JOIN knn USING (run, sample)
GROUP BY position, run_label, q
ORDER BY position, q;
