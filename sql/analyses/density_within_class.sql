-- title: Energy against density, class by class
-- answers: Spearman correlation of energy with the endpoint's log density within each class, by space and estimator.
-- source: [KE] figures 4 and 5; METHOD §7
-- param study: the study
-- column run_label: the run's name in the study
-- column space, estimator: where and how the density was estimated
-- column class: asked for, else predicted, else the nearest training point's
-- column n: samples
-- column rho: Spearman's ρ of kpe and log density; NULL where one is constant
-- column low, high: ends of its 95 % interval
WITH members AS (
  SELECT position, run_label, run FROM study_runs WHERE study = $study
),
estimates AS (
  SELECT position, sample, hash(position, space, estimator) AS e, log_density FROM densities JOIN members USING (run)
),
names AS (
  SELECT DISTINCT hash(position, space, estimator) AS e, position, run_label, space, estimator
  FROM densities JOIN members USING (run)
),
pairs AS (
  SELECT e, class, kpe, log_density, hash(e, class) AS g FROM estimates
  JOIN (SELECT position, sample, class, kpe FROM samples JOIN members USING (run)) USING (position, sample)
),
classes AS (
  SELECT DISTINCT g, e, class FROM pairs
)
SELECT run_label, space, estimator, class, n, rho, low, high
FROM spearman('pairs', kpe, log_density, g) JOIN classes ON g = per JOIN names USING (e)
ORDER BY position, space, estimator DESC, class;
