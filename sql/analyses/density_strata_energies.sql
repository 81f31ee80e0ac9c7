-- title: Energies by density stratum
-- answers: How the energies are distributed in each stratum of log density, from the sparsest to the densest.
-- source: [KE] figure 3
-- param study: the study
-- param strata: integer from 2 to 100, default 3: how many equally filled strata
-- column run_label: the run's name in the study
-- column space, estimator: where and how the density was estimated
-- column stratum: 1 is the sparsest; equal densities share one
-- column n: samples
-- column log_density: mean log density [nat]
-- column kpe: mean energy [coordinate²/time]
-- column kpe_25, kpe_50, kpe_75: quartiles of the energy [coordinate²/time]
-- column f_mem: memorized share
-- column f_mem_low, f_mem_high: ends of its 95 % interval (Wilson)
WITH names AS (
  SELECT row_number() OVER ()::INTEGER AS g, *
  FROM (SELECT DISTINCT run, space, estimator FROM densities) JOIN study_runs USING (run) WHERE study = $study
),
own AS MATERIALIZED (  -- a whole number is joined on, and carried along, in half the time of a run's id
  SELECT position, sample, kpe, memorized FROM samples JOIN study_runs USING (run) WHERE study = $study
),
estimates AS (
  SELECT position, sample, g, log_density FROM densities JOIN names USING (run, space, estimator)
),
strata AS (
  SELECT position, sample, g, log_density, quantile_bin(log_density, $strata, g) AS stratum FROM estimates
),
told AS (
  SELECT
    g, stratum,
    count(*)                                            AS n,
    avg(log_density)                                    AS log_density,
    avg(kpe)                                            AS kpe,
    quantile_cont(kpe, [0.25, 0.5, 0.75])               AS quartiles,
    avg(memorized::INT)                                 AS f_mem
  FROM strata JOIN own USING (position, sample)
  GROUP BY g, stratum
)
SELECT
  run_label, space, estimator, stratum, n, log_density, kpe,
  quartiles[1]                                          AS kpe_25,
  quartiles[2]                                          AS kpe_50,
  quartiles[3]                                          AS kpe_75,
  f_mem,
  wilson_low(f_mem, n)                                  AS f_mem_low,
  wilson_high(f_mem, n)                                 AS f_mem_high
FROM told JOIN names USING (g)
ORDER BY position, space, estimator DESC, stratum;
