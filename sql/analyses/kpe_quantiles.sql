-- title: What changes from low to high energy
-- answers: Semantic score, margin, density and memorization by quantile of kinetic path energy, within each run.
-- source: [KE] figure 2; METHOD §5
-- param study: the study
-- param quantiles: integer from 2 to 1000, default 5: how many equally filled bins
-- column run_label: the run's name in the study
-- column quantile: 1 is the lowest energy; equal energies share one
-- column n: samples
-- column kpe: mean energy [coordinate²/time]
-- column score, margin: means [logit]
-- column log_density: mean k-NN log density in data space; of several estimates the one of smallest k [nat]
-- column norm: mean ‖x(1)‖ [coordinate]
-- column f_mem: memorized share
-- column f_mem_low, f_mem_high: ends of its 95 % interval (Wilson)
WITH chosen AS (
  SELECT m.position, m.run_label, s.*, quantile_bin(s.kpe, $quantiles, m.position) AS quantile
  FROM samples s JOIN study_runs m USING (run)
  WHERE m.study = $study
),
knn AS (  -- of several, the smallest k, nothing left out
  SELECT run, sample, arg_min(log_density, (parameter, estimator)) AS log_density
  FROM densities WHERE space = 'data' AND estimator LIKE 'knn%' GROUP BY run, sample
)
SELECT
  run_label, quantile,
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
GROUP BY position, run_label, quantile
ORDER BY position, quantile;
