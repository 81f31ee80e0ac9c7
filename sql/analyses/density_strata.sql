-- title: Energy in dense and in sparse places
-- answers: Whether samples in the sparsest stratum have other energies than those in the densest one (Mann–Whitney U).
-- source: [KE] figure 3
-- param study: the study
-- param strata: integer from 2 to 100, default 3: how many equally filled strata of log density
-- column run_label: the run's name in the study
-- column space, estimator: where and how the density was estimated
-- column n: samples in both
-- column kpe_sparse, kpe_dense: median energies [coordinate²/time]
-- column auc: probability that a sparse sample has more energy than a dense one, ties counting half
-- column z: standard normal under no difference, corrected for ties and for continuity
-- column p: two-sided, from the normal approximation
WITH names AS (
  SELECT row_number() OVER ()::INTEGER AS g, *
  FROM (SELECT DISTINCT run, space, estimator FROM densities) JOIN study_runs USING (run) WHERE study = $study
),
own AS MATERIALIZED (  -- a whole number is joined on, and carried along, in half the time of a run's id
  SELECT position, sample, kpe FROM samples JOIN study_runs USING (run) WHERE study = $study
),
estimates AS (
  SELECT position, sample, g, log_density FROM densities JOIN names USING (run, space, estimator)
),
strata AS (
  SELECT position, sample, g, quantile_bin(log_density, $strata, g) AS stratum FROM estimates
),
ends AS (
  SELECT g, stratum, kpe FROM strata JOIN own USING (position, sample)
  WHERE stratum IN (1, $strata) AND is_number(kpe)
),
medians AS (
  SELECT g, median(kpe) FILTER (stratum = 1) AS kpe_sparse, median(kpe) FILTER (stratum > 1) AS kpe_dense
  FROM ends GROUP BY g
)
SELECT
  run_label, space, estimator,
  n_first + n_other                                     AS n,
  kpe_sparse, kpe_dense, auc, z, p
FROM mann_whitney('ends', kpe, stratum = 1, g) AS test JOIN medians ON g = per JOIN names USING (g)
WHERE n_first > 0 AND n_other > 0
ORDER BY position, space, estimator DESC;
