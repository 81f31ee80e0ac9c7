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
WITH pairs AS (
  SELECT m.position, m.run_label, d.space, d.estimator, s.class, s.kpe, d.log_density,
    hash(m.position, d.space, d.estimator, s.class) AS g
  FROM densities d JOIN samples s USING (run, sample) JOIN study_runs m USING (run)
  WHERE m.study = $study
),
classes AS (
  SELECT DISTINCT position, run_label, space, estimator, class, g FROM pairs
)
SELECT run_label, space, estimator, class, n, rho, low, high
FROM spearman(pairs, kpe, log_density, g) JOIN classes ON g = per
ORDER BY position, space, estimator DESC, class;
