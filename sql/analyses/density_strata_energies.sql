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
WITH pairs AS (
  SELECT m.position, m.run_label, d.space, d.estimator, d.log_density, s.kpe, s.memorized,
    quantile_bin(d.log_density, $strata, hash(m.position, d.space, d.estimator)) AS stratum
  FROM densities d JOIN samples s USING (run, sample) JOIN study_runs m USING (run)
  WHERE m.study = $study
)
SELECT
  run_label, space, estimator, stratum,
  count(*)                                              AS n,
  avg(log_density)                                      AS log_density,
  avg(kpe)                                              AS kpe,
  quantile_cont(kpe, [0.25, 0.5, 0.75])[1]              AS kpe_25,
  quantile_cont(kpe, [0.25, 0.5, 0.75])[2]              AS kpe_50,
  quantile_cont(kpe, [0.25, 0.5, 0.75])[3]              AS kpe_75,
  avg(memorized::INT)                                   AS f_mem,
  wilson_low(avg(memorized::INT), count(*))             AS f_mem_low,
  wilson_high(avg(memorized::INT), count(*))            AS f_mem_high
FROM pairs
GROUP BY position, run_label, space, estimator, stratum
ORDER BY position, space, estimator DESC, stratum;
