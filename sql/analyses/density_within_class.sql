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
  SELECT d.log_density, s.kpe, {position: m.position, run_label: m.run_label, space: d.space, estimator: d.estimator,
    class: s.class} AS g
  FROM densities d JOIN samples s USING (run, sample) JOIN study_runs m USING (run)
  WHERE m.study = $study
)
SELECT per.run_label, per.space, per.estimator, per.class, n, rho, low, high
FROM spearman(pairs, kpe, log_density, g)
ORDER BY per.position, per.space, per.estimator DESC, per.class;
