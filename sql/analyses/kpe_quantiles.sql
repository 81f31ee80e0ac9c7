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
WITH knn AS (  -- of several, the smallest k, nothing left out
  SELECT run, arg_min(estimator, (parameter, estimator)) AS estimator
  FROM (SELECT DISTINCT run, estimator, parameter FROM densities WHERE space = 'data' AND estimator LIKE 'knn%') GROUP BY run
),
estimates AS MATERIALIZED (  -- a whole number is joined on, and carried along, in half the time of a run's id
  SELECT position, sample, log_density FROM densities JOIN knn USING (run, estimator) JOIN study_runs USING (run)
  WHERE space = 'data' AND study = $study
),
chosen AS (
  SELECT position, sample, kpe, score, margin, norm, memorized::INT AS memorized,
    quantile_bin(kpe, $quantiles, position) AS quantile
  FROM samples JOIN study_runs USING (run) WHERE study_runs.study = $study
),
told AS (
  SELECT position, quantile, count(*) AS n, avg(kpe) AS kpe, avg(score) AS score, avg(margin) AS margin,
    avg(log_density) AS log_density, avg(norm) AS norm, avg(memorized) AS f_mem
  FROM chosen LEFT JOIN estimates USING (position, sample) GROUP BY position, quantile
)
SELECT
  run_label, quantile, n, kpe, score, margin, log_density, norm, f_mem,
  wilson_low(f_mem, n)                                  AS f_mem_low,
  wilson_high(f_mem, n)                                 AS f_mem_high
FROM told JOIN study_runs USING (position) WHERE study = $study
ORDER BY position, quantile;
