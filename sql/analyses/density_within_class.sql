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
WITH names AS (
  SELECT row_number() OVER ()::INTEGER AS g, *
  FROM (SELECT DISTINCT run, space, estimator FROM densities) JOIN study_runs USING (run) WHERE study = $study
),
own AS MATERIALIZED (  -- a whole number is joined on, and carried along, in half the time of a run's id
  SELECT position, sample, class, kpe FROM samples JOIN study_runs USING (run) WHERE study = $study
),
estimates AS MATERIALIZED (
  SELECT position, sample, g, log_density FROM densities JOIN names USING (run, space, estimator)
),
pairs AS (
  SELECT g, class, kpe, log_density FROM estimates JOIN own USING (position, sample)
),
classes AS (
  SELECT row_number() OVER ()::INTEGER AS c, * FROM (SELECT DISTINCT g, class FROM pairs)
),
classed AS (
  SELECT c, kpe, log_density
  FROM pairs JOIN classes ON pairs.g = classes.g AND pairs.class IS NOT DISTINCT FROM classes.class
)
SELECT run_label, space, estimator, class, n, rho, low, high
FROM spearman('classed', kpe, log_density, c) JOIN classes ON c = per JOIN names USING (g)
ORDER BY position, space, estimator DESC, class;
